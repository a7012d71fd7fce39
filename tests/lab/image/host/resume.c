/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resume DOMID: lets a suspended domain go on where it is, as xl does after a failed migration, and an administrator may by
 * `xl resume` from Xen 4.20 on.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	void *(*open)(void *logger, void *dombuild_logger, unsigned int flags);
	int (*resume)(void *xch, uint32_t domid, int fast);
	void *library = dlopen("libxenguest.so." XEN, RTLD_NOW | RTLD_GLOBAL), *xch;

	if (argc != 2 || !library) {
		fprintf(stderr, "%s\n", library ? "usage: resume DOMID" : dlerror());
		return 2;
	}
	*(void **)&open = dlsym(library, "xc_interface_open");
	*(void **)&resume = dlsym(library, "xc_domain_resume");
	xch = open && resume ? open(NULL, NULL, 0) : NULL;
	if (!xch || resume(xch, (uint32_t)strtoul(argv[1], NULL, 10), 1)) {
		perror("resume");
		return 1;
	}
	return 0;
}
