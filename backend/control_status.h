/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_status.h: the document that `status` answers.  Pure: structures in, JSON out; docs/CONTROL.md has
 * every key.
 *
 * Conventions: snake_case keys that end in their unit, null for what is not known, 64-bit identifiers as 16
 * hex digits (JSON readers round big numbers).
 */
#ifndef DRBDX_BACKEND_CONTROL_STATUS_H
#define DRBDX_BACKEND_CONTROL_STATUS_H

#include <jansson.h>
#include <stddef.h>

#include "backend/device.h"
#include "backend/resource.h"
#include "config/config.h"

/* Text from a guest, a partner or a file: bytes that are no UTF-8 become '?'. A new reference; null for NULL
 * and "". */
json_t *control_text(const char *text);

/* The document without resources. `problem`: devices_problem(). NULL: no memory. */
json_t *control_status_new(const char *host, const char *problem);
/* Adds a configured resource as one that is down; returns its entry (borrowed), NULL: no memory. */
json_t *control_status_add(json_t *document, const struct config_resource *cfg);
/* Fills in what the running resource said. */
void control_status_fill(json_t *entry, const struct resource_status *status);
/* Puts each vbd under its resource, or under "unassigned_devices". To be called once, at the end. */
void control_status_devices(json_t *document, const struct device_status *devices, size_t n);

#endif
