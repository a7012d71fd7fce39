/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which section of a resource is this host's. In this order: the one that has exactly the host's name; one
 * that has it in other case, or with or without the domain (as DRBD 9 compares); a floating one whose address
 * is configured here.
 */
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "config/tree.h"

typedef bool (*host_test)(const struct host *, const void *);

static bool has_name(const struct host *host, const char *hostname, bool (*same)(const char *, const char *))
{
	const struct name *name;

	for (name = host->names; name; name = name->next) {
		if (same(name->text, hostname))
			return true;
	}
	return false;
}

static bool same_exactly(const char *a, const char *b)
{
	return !strcmp(a, b);
}

static bool same_loosely(const char *a, const char *b)
{
	size_t short_a = strcspn(a, "."), short_b = strcspn(b, ".");

	if (a[short_a] && b[short_b])
		return !strcasecmp(a, b);
	return short_a && short_a == short_b && !strncasecmp(a, b, short_a);
}

static bool named_exactly(const struct host *host, const void *hostname)
{
	return has_name(host, hostname, same_exactly);
}

static bool named_loosely(const struct host *host, const void *hostname)
{
	return has_name(host, hostname, same_loosely);
}

bool host_is_named(const struct host *host, const char *name)
{
	return has_name(host, name, same_exactly) || has_name(host, name, same_loosely);
}

static bool same_address(const struct sockaddr *a, const struct sockaddr_storage *b)
{
	if (!a || a->sa_family != b->ss_family)
		return false;
	if (a->sa_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	return a->sa_family == AF_INET6 &&
	       !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
		       &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr));
}

static bool is_here(const struct host *host, const void *addresses)
{
	const struct ifaddrs *i;

	if (!host->floating || !host->value.addr_len)
		return false;
	for (i = addresses; i; i = i->ifa_next) {
		if (same_address(i->ifa_addr, &host->value.addr))
			return true;
	}
	return false;
}

/* The only host that passes the test. Two refuse the resource. */
static struct host *only_one(struct config *config, host_test test, const void *with)
{
	struct host *host, *found = NULL;

	for (host = config->resource->hosts; host; host = host->next) {
		if (!test(host, with))
			continue;
		if (found)
			tree_refuse(config, &host->at, "two of its sections could be this host's");
		else
			found = host;
	}
	return found;
}

struct host *select_self(struct config *config, const char *hostname)
{
	struct host *self = only_one(config, named_exactly, hostname);

	if (!self)
		self = only_one(config, named_loosely, hostname);
	if (!self)
		self = only_one(config, is_here, config->addresses);
	return self;
}
