/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c: lines to stderr, `<severity>object: text`, each by one write(2), so that lines of
 * different threads never mix.
 */
#include "backend/log.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

static atomic_int least_severe = LOG_INFO;

void log_set_level(enum log_level least)
{
	atomic_store(&least_severe, least);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load(&least_severe);
}

/* A guest's or a peer's words may be part of the text: no control character may reach a
 * terminal or begin a line. */
static void tame(char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text))
			*text = ' ';
}

static void vlog_line(enum log_level level, const char *object, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];
	int head, used;
	ssize_t r;

	head = snprintf(line, sizeof(line), "<%d>%s%s", level, object ? object : "", object ? ": " : "");
	used = head + vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, ap);
	if (used > (int)sizeof(line) - 2)
		used = (int)sizeof(line) - 2;
	line[used] = '\0';
	tame(line);
	line[used] = '\n';
	r = write(STDERR_FILENO, line, (size_t)used + 1);
	(void)r; /* there is nobody to tell */
}

void log_line(enum log_level level, const char *object, const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	vlog_line(level, object, fmt, ap);
	va_end(ap);
}

/* ---- the sink for the Xen libraries ---- */

static enum log_level from_xen(xentoollog_level level)
{
	if (level >= XTL_ERROR)
		return LOG_ERROR;
	if (level >= XTL_WARN)
		return LOG_WARN;
	return level >= XTL_NOTICE ? LOG_NOTICE : LOG_DEBUG;
}

static void xen_vmessage(struct xentoollog_logger *logger, xentoollog_level level, int errnoval,
			 const char *context, const char *format, va_list al)
{
	char text[LINE_MAX_BYTES / 2];

	(void)logger;
	if (!log_enabled(from_xen(level)))
		return;
	vsnprintf(text, sizeof(text), format, al);
	log_line(from_xen(level), context, "%s%s%s", text, errnoval >= 0 ? ": " : "",
		 errnoval >= 0 ? strerror(errnoval) : "");
}

static void xen_progress(struct xentoollog_logger *logger, const char *context, const char *doing_what,
			 int percent, unsigned long done, unsigned long total)
{
	/* none of the libraries used here reports progress */
	(void)logger, (void)context, (void)doing_what, (void)percent, (void)done, (void)total;
}

static void xen_destroy(struct xentoollog_logger *logger)
{
	(void)logger;
}

xentoollog_logger *log_toollog(void)
{
	static xentoollog_logger logger = { xen_vmessage, xen_progress, xen_destroy };

	return &logger;
}
