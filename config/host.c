/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The statements of a host: device, disk, meta-disk, address. Each once; what is at the resource's level is
 * inherited. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "config/tree.h"

#define MINOR_MAX ((1U << 20) - 1)
#define SLOT_MAX 65535 /* 128 MiB each: 8 TiB of metadata */

static bool once(struct config *config, struct location *first, const struct location *at, const char *what)
{
	if (!config->resource) {
		config_say(config, CONFIG_ERROR, at, "'%s' is not allowed in common, only in a resource",
			   what);
		return false;
	}
	if (first->file) {
		config_say(config, CONFIG_ERROR, at, "there is already a '%s' at %s:%u", what, first->file,
			   first->line);
		return false;
	}
	*first = *at;
	return true;
}

/* "drbd7" and "/dev/drbd7" carry their minor; any other name begins with /dev/drbd_ and needs one. */
static bool device_minor(struct config *config, const struct location *at, const char *name,
			 const char *minor, uint64_t *n)
{
	const char *tail = strncmp(name, "/dev/", 5) ? name : name + 5;

	if (strncmp(tail, "drbd", 4)) {
		config_say(config, CONFIG_ERROR, at, "device name '%s' must start with /dev/drbd", name);
		return false;
	}
	if (number_plain(tail + 4, MINOR_MAX, n))
		return true;
	if (tail[4] != '_') {
		config_say(config, CONFIG_ERROR, at,
			   "device name '%s' must be /dev/drbd and a number, or start with /dev/drbd_", name);
		return false;
	}
	if (!minor)
		config_say(config, CONFIG_ERROR, at, "device '%s' needs 'minor' and a number", name);
	return minor;
}

void host_device(struct config *config, const struct location *at, const char *name, const char *minor)
{
	struct host *host = config->host;
	uint64_t n = 0;

	if (!once(config, &host->device_at, at, "device"))
		return;
	if (name && !device_minor(config, at, name, minor, &n))
		return;
	if (minor && !number_plain(minor, MINOR_MAX, &n)) {
		config_say(config, CONFIG_ERROR, at, "minor %s is out of range [0..%u]", minor, MINOR_MAX);
		return;
	}
	host->value.minor = (unsigned)n;
	if (!name)
		host->value.device = arena_printf(&config->arena, "/dev/drbd%u", host->value.minor);
	else
		host->value.device = arena_printf(&config->arena, "%s%s", *name == '/' ? "" : "/dev/", name);
}

void host_disk(struct config *config, const struct location *at, const char *path)
{
	if (!once(config, &config->host->disk_at, at, "disk"))
		return;
	if (!*path)
		config_say(config, CONFIG_ERROR, at, "disk needs a path");
	if (!strcmp(path, "none"))
		tree_refuse(config, at, "it has a node without a disk");
	config->host->value.disk = path;
}

void host_meta(struct config *config, const struct location *at, const char *path, const char *index)
{
	struct config_host *value = &config->host->value;
	bool internal = !strcmp(path, "internal");
	uint64_t n;

	if (!once(config, &config->host->meta_at, at, "meta-disk"))
		return;
	if (!*path || (internal && index)) {
		config_say(config, CONFIG_ERROR, at,
			   "meta-disk is internal, a path, or a path and a number in brackets");
		return;
	}
	value->meta_disk = internal ? NULL : path;
	value->meta_index = internal ? CONFIG_META_INTERNAL : CONFIG_META_FLEXIBLE;
	if (!index)
		return;
	if (number_plain(index, SLOT_MAX, &n))
		value->meta_index = (int)n;
	else
		config_say(config, CONFIG_ERROR, at, "meta-disk index %s is no number of 0 to %u", index,
			   SLOT_MAX);
}

static bool parse_ipv4(const char *text, in_port_t port, struct config_host *value)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&value->addr;

	in->sin_family = AF_INET;
	in->sin_port = port;
	value->addr_len = sizeof(*in);
	return inet_pton(AF_INET, text, &in->sin_addr) == 1 && in->sin_addr.s_addr != htonl(INADDR_ANY);
}

/* `text` may end in %SCOPE, which is an interface of this host. */
static bool parse_ipv6(struct config *config, const char *text, in_port_t port, struct config_host *value)
{
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&value->addr;
	const char *scope = strchr(text, '%');
	uint64_t n = 0;

	in->sin6_family = AF_INET6;
	in->sin6_port = port;
	value->addr_len = sizeof(*in);
	if (scope) {
		text = arena_strndup(&config->arena, text, (size_t)(scope - text));
		in->sin6_scope_id =
			number_plain(scope + 1, UINT32_MAX, &n) ? (uint32_t)n : if_nametoindex(scope + 1);
		if (!in->sin6_scope_id)
			tree_refuse(config, &config->host->address_at,
				    "its address is on interface '%s', which is not here", scope + 1);
	}
	return inet_pton(AF_INET6, text, &in->sin6_addr) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&in->sin6_addr);
}

static bool family_fits(struct config *config, const struct location *at, const char *family, bool ipv6)
{
	if (!strcmp(family, "ssocks") || !strcmp(family, "sci") || !strcmp(family, "sdp")) {
		tree_refuse(config, at, "it uses address family %s; drbdx talks TCP over ipv4 or ipv6",
			    family);
		return !ipv6;
	}
	return !strcmp(family, ipv6 ? "ipv6" : "ipv4");
}

void host_address(struct config *config, const struct location *at, const char *family, const char *address,
		  const char *port)
{
	struct config_host *value = &config->host->value;
	bool ipv6 = strchr(address, ':'), good;
	uint64_t n;

	if (!once(config, &config->host->address_at, at, "address"))
		return;
	if (!family_fits(config, at, family, ipv6)) {
		config_say(config, CONFIG_ERROR, at, "'%s' is no address family of %s", family, address);
		return;
	}
	if (!number_plain(port, 65535, &n) || n == 0) {
		config_say(config, CONFIG_ERROR, at, "port %s is out of range [1..65535]", port);
		return;
	}
	good = ipv6 ? parse_ipv6(config, address, htons((uint16_t)n), value)
		    : parse_ipv4(address, htons((uint16_t)n), value);
	if (!good)
		config_say(config, CONFIG_ERROR, at, "'%s' is no address of a host", address);
	if (config->host->floating)
		value->name = arena_printf(&config->arena, ipv6 ? "[%s]:%s" : "%s:%s", address, port);
}
