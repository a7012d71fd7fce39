/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: any bytes as a configuration file. Nothing may crash, leak or take long; an error means no
 * resources, and what is served is complete. The file lies in memory; what it includes can only be beside it,
 * that is, nothing.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

#define REQUIRE(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct config *config, int rc)
{
	const struct config_resource *r;
	const struct config_message *m;
	size_t i, n, errors = 0;

	n = config_messages(config, &m);
	for (i = 0; i < n; i++)
		errors += m[i].severity == CONFIG_ERROR;
	REQUIRE(!rc == !errors);
	n = config_resources(config, &r);
	REQUIRE(!rc || !n);
	for (i = 0; i < n; i++) {
		if (r[i].refused)
			continue;
		REQUIRE(r[i].self && r[i].peer && r[i].self->disk && r[i].peer->disk);
		REQUIRE(r[i].self->addr_len && r[i].peer->addr_len);
		REQUIRE(!r[i].cram_hmac_alg == !r[i].shared_secret);
		REQUIRE((r[i].self->meta_index == CONFIG_META_INTERNAL) == !r[i].self->meta_disk);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct config *config;
	char path[64];
	int rc;

	if (fd < 0)
		fd = memfd_create("config", 0);
	REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0);
	REQUIRE(pwrite(fd, data, size, 0) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = config_load(path, "alpha", &config);
	REQUIRE(rc == 0 || rc == -EINVAL);
	check(config, rc);
	config_free(config);
	return 0;
}
