/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hanging-disk: a disk that can be made to hang: a file that FUSE serves from another one.
 *
 *   hanging-disk [--erases] FILE BACKING PIDFILE
 *
 * Mounts itself over FILE, which is then as large as BACKING and has its contents, and goes to the background; PIDFILE gets its process id.
 * From SIGUSR1 on it reads, writes and flushes nothing: who asks for that hangs in the kernel, unkillable, as with a real disk; opening
 * FILE goes on working, as there. From SIGUSR2 on it does what was asked meanwhile. Killed, everything under way fails.
 *
 * With --erases it is a disk that gives space back, and that erases securely (BLKSECDISCARD) as a real one does: what is read afterwards is
 * anything, here bytes of 0xee. BACKING.erased gets a line "SECTOR SECTORS" for each; while there is BACKING.worn, they fail.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define WRITE_MAX (1u << 20)
#define FOR_EVER  86400u /* seconds for which the kernel may believe what it was told: stat() does not hang */

struct waiting {
	struct waiting *next;
	uint8_t request[];
};

static int device, backing;
static const char *erases; /* the path of what is behind it; NULL: it does not */
static sigset_t signals_open;
static volatile sig_atomic_t hangs;
static struct waiting *first, **last = &first; /* requests that wait for the disk to go on */
static uint8_t in[WRITE_MAX + 65536], out[WRITE_MAX];

static void answer(const struct fuse_in_header *h, int error, const void *body, size_t bytes)
{
	struct fuse_out_header head = { .len = (uint32_t)(sizeof(head) + bytes), .error = -error, .unique = h->unique };
	struct iovec v[2] = { { &head, sizeof(head) }, { (void *)body, bytes } };

	if (writev(device, v, 2) < 0 && errno != ENOENT) /* ENOENT: whoever asked has gone */
		perror("hanging-disk: answer");
}

static void on_init(const struct fuse_in_header *h, const struct fuse_init_in *init)
{
	struct fuse_init_out reply = {
		.major = FUSE_KERNEL_VERSION,
		.minor = init->minor < FUSE_KERNEL_MINOR_VERSION ? init->minor : FUSE_KERNEL_MINOR_VERSION,
		/* the last one: what io_uring is asked for does not block it, as on a block device */
		.flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ASYNC_DIO,
		.max_background = 64,
		.congestion_threshold = 64,
		.max_write = WRITE_MAX,
		.max_pages = WRITE_MAX / 4096,
	};

	answer(h, 0, &reply, sizeof(reply));
}

static void on_getattr(const struct fuse_in_header *h)
{
	struct fuse_attr_out reply = { .attr_valid = FOR_EVER };
	struct stat st;

	if (fstat(backing, &st)) {
		answer(h, errno, NULL, 0);
		return;
	}
	reply.attr.ino = 1;
	reply.attr.size = (uint64_t)st.st_size;
	reply.attr.blocks = (uint64_t)st.st_size / 512;
	reply.attr.mode = S_IFREG | 0600;
	reply.attr.nlink = 1;
	reply.attr.blksize = 4096;
	answer(h, 0, &reply, sizeof(reply));
}

static void on_read(const struct fuse_in_header *h, const struct fuse_read_in *r)
{
	ssize_t n = pread(backing, out, r->size < sizeof(out) ? r->size : sizeof(out), (off_t)r->offset);

	answer(h, n < 0 ? errno : 0, out, n < 0 ? 0 : (size_t)n);
}

static void on_write(const struct fuse_in_header *h, const struct fuse_write_in *w)
{
	struct fuse_write_out reply = { 0 };
	ssize_t n = pwrite(backing, w + 1, w->size, (off_t)w->offset);

	if (n >= 0 && fdatasync(backing))
		n = -1;
	reply.size = n < 0 ? 0 : (uint32_t)n;
	answer(h, n < 0 ? errno : 0, &reply, n < 0 ? 0 : sizeof(reply));
}

static void on_fallocate(const struct fuse_in_header *h, const struct fuse_fallocate_in *f)
{
	answer(h, !erases ? ENOSYS : fallocate(backing, (int)f->mode, (off_t)f->offset, (off_t)f->length) ? errno : 0, NULL, 0);
}

static bool is_worn(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s.worn", erases);
	return !access(path, F_OK);
}

static int erase(uint64_t offset, uint64_t bytes)
{
	char path[PATH_MAX];
	FILE *log;

	if (offset % 512 || bytes % 512)
		return EINVAL;
	if (is_worn())
		return EIO;
	memset(out, 0xee, sizeof(out));
	for (uint64_t done = 0, n; done < bytes; done += n) {
		n = bytes - done < sizeof(out) ? bytes - done : sizeof(out);
		if (pwrite(backing, out, n, (off_t)(offset + done)) != (ssize_t)n)
			return EIO;
	}
	snprintf(path, sizeof(path), "%s.erased", erases);
	log = fopen(path, "ae");
	if (!log || fprintf(log, "%llu %llu\n", (unsigned long long)offset / 512, (unsigned long long)bytes / 512) < 0 || fclose(log))
		return EIO;
	return 0;
}

/* Its argument is not copied by the kernel: its number does not say how long that is. */
static void on_ioctl(const struct fuse_in_header *h, const struct fuse_ioctl_in *i)
{
	struct fuse_ioctl_out reply = { 0 };
	uint64_t range[2];
	int error;
	struct iovec to = { range, sizeof(range) }, from = { (void *)(uintptr_t)i->arg, sizeof(range) };

	if (!erases || i->cmd != BLKSECDISCARD)
		error = ENOTTY;
	else if (process_vm_readv((pid_t)h->pid, &to, 1, &from, 1, 0) != sizeof(range))
		error = EFAULT;
	else
		error = erase(range[0], range[1]);
	answer(h, error, &reply, error ? 0 : sizeof(reply));
}

static void serve(const struct fuse_in_header *h)
{
	const void *body = h + 1;

	switch (h->opcode) {
	case FUSE_INIT:
		on_init(h, body);
		break;
	case FUSE_GETATTR:
		on_getattr(h);
		break;
	case FUSE_READ:
		on_read(h, body);
		break;
	case FUSE_WRITE:
		on_write(h, body);
		break;
	case FUSE_FSYNC:
		answer(h, fdatasync(backing) ? errno : 0, NULL, 0);
		break;
	case FUSE_FALLOCATE:
		on_fallocate(h, body);
		break;
	case FUSE_IOCTL:
		on_ioctl(h, body);
		break;
	case FUSE_RELEASE:
		answer(h, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT: /* a disk cannot take back what it has begun */
		break;
	default: /* also open and close, of which then only the kernel knows */
		answer(h, ENOSYS, NULL, 0);
	}
}

static void on_signal(int number)
{
	hangs = number == SIGUSR1;
}

/* Before anybody can send one: they wait until they are asked for. */
static void take_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t both;

	sigemptyset(&both);
	sigaddset(&both, SIGUSR1);
	sigaddset(&both, SIGUSR2);
	sigprocmask(SIG_BLOCK, &both, &signals_open);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
}

static void keep(const struct fuse_in_header *h)
{
	struct waiting *w = malloc(sizeof(*w) + h->len);

	if (!w)
		abort();
	w->next = NULL;
	memcpy(w->request, h, h->len);
	*last = w;
	last = &w->next;
}

static void serve_waiting(void)
{
	struct waiting *w;

	while (!hangs && (w = first)) {
		first = w->next;
		if (!first)
			last = &first;
		serve((const struct fuse_in_header *)w->request);
		free(w);
	}
}

static bool is_io(const struct fuse_in_header *h)
{
	return h->opcode == FUSE_READ || h->opcode == FUSE_WRITE || h->opcode == FUSE_FSYNC || h->opcode == FUSE_FALLOCATE || h->opcode == FUSE_IOCTL;
}

static void run(void)
{
	const struct fuse_in_header *h = (const struct fuse_in_header *)in;
	struct pollfd p = { .fd = device, .events = POLLIN };
	ssize_t n;

	for (;;) {
		serve_waiting();
		if (ppoll(&p, 1, NULL, &signals_open) < 0)
			continue; /* a signal: they come here only */
		n = read(device, in, sizeof(in));
		if (n >= (ssize_t)sizeof(*h) && hangs && is_io(h))
			keep(h);
		else if (n >= (ssize_t)sizeof(*h))
			serve(h);
		else if (n < 0 && errno != EINTR && errno != ENOENT && errno != EAGAIN)
			_exit(errno == ENODEV ? 0 : 1); /* ENODEV: unmounted */
	}
}

int main(int argc, char **argv)
{
	char options[128];
	FILE *f;
	pid_t pid;

	if (argc == 5 && !strcmp(argv[1], "--erases")) {
		argv++;
		argc--;
		erases = argv[2];
	}
	if (argc != 4) {
		fprintf(stderr, "usage: hanging-disk [--erases] FILE BACKING PIDFILE\n");
		return 1;
	}
	take_signals();
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	backing = open(argv[2], O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=100000,user_id=0,group_id=0", device);
	if (device < 0 || backing < 0 || mount("hanging-disk", argv[1], "fuse", MS_NODEV | MS_NOSUID, options)) {
		perror("hanging-disk");
		return 1;
	}
	pid = fork();
	if (!pid) {
		setsid();
		run();
	}
	f = fopen(argv[3], "w");
	if (pid < 0 || !f || fprintf(f, "%d\n", (int)pid) < 0 || fclose(f)) {
		perror("hanging-disk");
		return 1;
	}
	return 0;
}
