/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h: one sink for what the daemon and the Xen libraries say: a xentoollog_logger that writes
 * lines to stderr with the journal's <N> prefix (systemd's SyslogLevelPrefix), so that `journalctl
 * -p warning -u drbdxd` works and no syslog library is needed.  Thread-safe: one write(2) a line.
 */
#ifndef DRBDX_BACKEND_LOG_H
#define DRBDX_BACKEND_LOG_H

#include <stdbool.h>
#include <xentoollog.h>

/* syslog's severities */
enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DEBUG = 7 };

void log_set_level(enum log_level least);
bool log_enabled(enum log_level level);

/* `object` names what the line is about: a resource, "vbd 3/51714", or NULL. Control
 * characters in the text (a guest may have chosen it) are escaped. */
void log_line(enum log_level level, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
#define log_error(object, ...)	log_line(LOG_ERROR, object, __VA_ARGS__)
#define log_warn(object, ...)	log_line(LOG_WARN, object, __VA_ARGS__)
#define log_notice(object, ...) log_line(LOG_NOTICE, object, __VA_ARGS__)
#define log_info(object, ...)	log_line(LOG_INFO, object, __VA_ARGS__)
#define log_debug(object, ...)                                    \
	do {                                                      \
		if (log_enabled(LOG_DEBUG))                       \
			log_line(LOG_DEBUG, object, __VA_ARGS__); \
	} while (0)

/* The sink as the Xen libraries take it; lives as long as the process. */
xentoollog_logger *log_toollog(void);

#endif
