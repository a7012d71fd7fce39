/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may be used only once in the whole configuration. Two resources that share a disk or a metadata slot
 * destroy each other's data, so this looks at every host's sections and at resources that are refused, too.
 *
 * Each use is a claim; claims are sorted, and neighbours that are the same (or, on one device, not two slots)
 * conflict.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "config/tree.h"

enum claim_kind { CLAIM_NAME, CLAIM_HOST, CLAIM_ADDRESS, CLAIM_DEVICE, CLAIM_MINOR, CLAIM_STORE };

/* `number` of a CLAIM_STORE: a slot, all of the device for metadata, or for data. */
#define STORE_DATA (-3)

struct claim {
	enum claim_kind kind;
	const char *host;
	const char *key;
	long number;
	struct location at;
	size_t order;
};

struct claims {
	struct config *config;
	struct claim *list;
	size_t count, room;
};

static void claim(struct claims *claims, enum claim_kind kind, const char *host, const char *key, long number,
		  const struct location *at)
{
	struct claim *c;

	if (claims->count == claims->room) {
		claims->room = claims->room ? 2 * claims->room : 64;
		claims->list = arena_grow(&claims->config->arena, claims->list, claims->count * sizeof(*c),
					  claims->room * sizeof(*c));
	}
	c = &claims->list[claims->count];
	*c = (struct claim){ kind, host, key, number, *at, claims->count };
	claims->count++;
}

static const char *address_text(struct config *config, const struct config_host *host, bool with_port)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&host->addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&host->addr;
	bool ipv4 = host->addr.ss_family == AF_INET;
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(host->addr.ss_family, ipv4 ? (const void *)&in->sin_addr : &in6->sin6_addr, text,
		  sizeof(text));
	if (!with_port)
		return arena_strdup(&config->arena, text);
	return arena_printf(&config->arena, "%s:%u", text, ntohs(ipv4 ? in->sin_port : in6->sin6_port));
}

static const struct location *written(const struct location *here, const struct location *inherited)
{
	return here->file ? here : inherited;
}

static void claim_storage(struct claims *claims, const char *name, const struct resource *resource,
			  const struct host *host)
{
	const struct config_host *value = &host->value;

	if (value->disk && strcmp(value->disk, "none"))
		claim(claims, CLAIM_STORE, name, value->disk, STORE_DATA,
		      written(&host->disk_at, &resource->defaults.disk_at));
	if (value->meta_disk)
		claim(claims, CLAIM_STORE, name, value->meta_disk, value->meta_index,
		      written(&host->meta_at, &resource->defaults.meta_at));
}

static void claim_host(struct claims *claims, const char *name, const struct resource *resource,
		       const struct host *host)
{
	const struct config_host *value = &host->value;
	const struct location *device_at = written(&host->device_at, &resource->defaults.device_at);

	if (!host->floating)
		claim(claims, CLAIM_HOST, name, "", resource->number, &host->at);
	if (value->addr_len)
		claim(claims, CLAIM_ADDRESS, name, address_text(claims->config, value, true), 0,
		      &host->address_at);
	if (value->device) {
		claim(claims, CLAIM_DEVICE, name, value->device, 0, device_at);
		claim(claims, CLAIM_MINOR, name, "", value->minor, device_at);
	}
	claim_storage(claims, name, resource, host);
}

static void claim_resource(struct claims *claims, const struct resource *resource)
{
	const struct host *host;
	const struct name *name;

	claim(claims, CLAIM_NAME, "", resource->name, 0, &resource->body.at);
	for (host = resource->hosts; host; host = host->next) {
		if (host->floating && host->value.addr_len)
			claim_host(claims, address_text(claims->config, &host->value, false), resource, host);
		for (name = host->names; name; name = name->next)
			claim_host(claims, name->text, resource, host);
	}
}

static int by_thing(const struct claim *a, const struct claim *b)
{
	int r = (a->kind > b->kind) - (a->kind < b->kind);

	if (!r)
		r = strcmp(a->host, b->host);
	return r ? r : strcmp(a->key, b->key);
}

static int by_number_and_order(const void *left, const void *right)
{
	const struct claim *a = left, *b = right;
	int r = by_thing(a, b);

	if (!r)
		r = (a->number > b->number) - (a->number < b->number);
	return r ? r : (a->order > b->order) - (a->order < b->order);
}

static bool conflict(const struct claim *a, const struct claim *b)
{
	if (by_thing(a, b))
		return false;
	return a->number == b->number || (a->kind == CLAIM_STORE && (a->number < 0 || b->number < 0));
}

static const char *thing(struct config *config, const struct claim *c, const struct claim *other)
{
	switch (c->kind) {
	case CLAIM_NAME:
		return arena_printf(&config->arena, "resource name '%s'", c->key);
	case CLAIM_HOST:
		return arena_printf(&config->arena, "host '%s' in one resource", c->host);
	case CLAIM_ADDRESS:
		return arena_printf(&config->arena, "address '%s' of %s", c->key, c->host);
	case CLAIM_DEVICE:
		return arena_printf(&config->arena, "device '%s' on %s", c->key, c->host);
	case CLAIM_MINOR:
		return arena_printf(&config->arena, "device minor %ld on %s", c->number, c->host);
	case CLAIM_STORE:
		break;
	}
	if (c->number == STORE_DATA && other->number == STORE_DATA)
		return arena_printf(&config->arena, "disk '%s' on %s", c->key, c->host);
	if (c->number >= 0 && other->number >= 0)
		return arena_printf(&config->arena, "meta-disk '%s[%ld]' on %s", c->key, c->number, c->host);
	if (c->number == STORE_DATA || other->number == STORE_DATA)
		return arena_printf(&config->arena, "'%s' on %s, as a data disk and for metadata", c->key,
				    c->host);
	return arena_printf(&config->arena, "meta-disk '%s' on %s", c->key, c->host);
}

static void say_conflict(struct config *config, const struct claim *a, const struct claim *b)
{
	const struct claim *first = a->order < b->order ? a : b, *second = first == a ? b : a;

	config_say(config, CONFIG_ERROR, &second->at, "conflicting use of %s: first used at %s:%u",
		   thing(config, second, first), first->at.file, first->at.line);
}

void claim_check(struct config *config)
{
	struct claims claims = { .config = config };
	const struct resource *resource;
	size_t i;

	for (resource = config->resources; resource; resource = resource->next)
		claim_resource(&claims, resource);
	if (claims.count)
		qsort(claims.list, claims.count, sizeof(*claims.list), by_number_and_order);
	for (i = 1; i < claims.count; i++) {
		if (conflict(&claims.list[i - 1], &claims.list[i]))
			say_conflict(config, &claims.list[i - 1], &claims.list[i]);
	}
}
