/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xen_io.h: Xen's shared-ring headers with the barriers that ring.h wants its includer to define.  x86's
 * memory order would allow compiler barriers for rmb and wmb; C11 acquire and release fences are exactly that
 * there, and right on every other architecture.
 *
 * They are defined after the inclusion: unless __XEN_INTERFACE_VERSION__ says otherwise, which any Xen header
 * included earlier may have settled, ring.h defines them itself as Linux's mb() and friends.
 */
#ifndef DRBDX_BACKEND_XEN_IO_H
#define DRBDX_BACKEND_XEN_IO_H

#include <stddef.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/io/ring.h>
#include <xen/io/protocols.h>

#undef xen_mb
#undef xen_rmb
#undef xen_wmb
#define xen_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)

#endif
