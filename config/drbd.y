%code top {
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The grammar of drbd.conf: the union of what DRBD 8.3, 8.4 and 9 accept. The first syntax error ends the
 * reading of its file; what is wrong with a value is said by tree_* and host_* functions, and reading
 * goes on.
 */
}
%code requires {
#include "config/scanner.h"
}
%code {
#include <stdio.h>
#include <string.h>

#define YYMAXDEPTH 200		/* braces nest three deep in practice; this bounds them */
#define YYLLOC_DEFAULT(current, rhs, n) \
	((current) = (n) ? YYRHSLOC(rhs, 1) : YYRHSLOC(rhs, 0))
#define CONFIG (scanner->config)

int drbdconf_lex(DRBDCONF_STYPE *, DRBDCONF_LTYPE *, void *yyscanner);
static void drbdconf_error(const DRBDCONF_LTYPE *, struct scanner *, void *yyscanner, const char *text);
}

%define api.pure full
%define api.prefix {drbdconf_}
%define api.token.prefix {TOK_}
%define api.location.type {struct location}
%define parse.error custom
%define parse.lac full
%locations
%lex-param {void *yyscanner}
%parse-param {struct scanner *scanner} {void *yyscanner}
%expect 0
%initial-action { @$.file = scanner->file; @$.line = 1; }

%union {
	char *text;
	struct name *names;
}

%token <text> STRING "a name" INTEGER "a number" QUOTED "a quoted string" IPV4 "an IPv4 address"
%token <text> IPV6 "an IPv6 address" OPTION "an option" STRAY "a stray character"
%token <text> GLOBAL "global" COMMON "common" RESOURCE "resource" INCLUDE "include" SKIP "skip"
%token <text> REQUIRE "require-drbd-module-version-..." IS_DEFAULT "_is_default"
%token <text> ON "on" FLOATING "floating" VOLUME "volume" STACKED "stacked-on-top-of" PROXY "proxy"
%token <text> CONNECTION "connection" MESH "connection-mesh" HOSTS "hosts"
%token <text> DISK "disk" NET "net" SYNCER "syncer" STARTUP "startup" HANDLERS "handlers" OPTIONS "options"
%token <text> PROTOCOL "protocol" DEVICE "device" MINOR "minor" ADDRESS "address" META_DISK "meta-disk"
%token <text> FLEXIBLE "flexible-meta-disk" NODE_ID "node-id" IGNORE_ON "ignore-on" TEMPLATE "template-file"
%token <text> THIS_HOST "_this_host" REMOTE_HOST "_remote_host" ALTERNATE "alternate-link-address"

%type <text> name value word family ip
%type <names> names

%%

file:
	%empty
|	file top
;

top:
	INCLUDE name ';'		{ source_include(CONFIG, &@1, $2); }
|	REQUIRE name ';'		{ tree_remark(CONFIG, &@1, $1, TREATMENT_NINE_ONLY); }
|	SKIP
|	GLOBAL '{'			{ tree_global(CONFIG, &@1); }
	options '}'			{ tree_body_end(CONFIG); }
|	COMMON '{'			{ tree_common(CONFIG, &@1); }
	body '}'			{ tree_body_end(CONFIG); }
|	RESOURCE name '{'		{ tree_resource(CONFIG, &@1, $2); }
	body '}'			{ tree_body_end(CONFIG); }
;

name:
	STRING
|	QUOTED
;

names:					/* the last one first */
	name				{ $$ = tree_name(CONFIG, &@1, $1, NULL); }
|	names name			{ $$ = tree_name(CONFIG, &@2, $2, $1); }
;

/* --- options --- */

options:
	%empty
|	options option
;

option:
	word ';'			{ tree_option(CONFIG, &@1, $1, NULL); }
|	word value ';'			{ tree_option(CONFIG, &@1, $1, $2); }
|	word value IS_DEFAULT ';'	{ tree_option(CONFIG, &@1, $1, $2); }
;

word:
	OPTION
|	STRING
|	PROTOCOL
;

value:
	STRING
|	INTEGER
|	QUOTED
;

/* --- common and resource --- */

body:
	%empty
|	body statement
;

statement:
	section
|	PROTOCOL value ';'		{ tree_protocol(CONFIG, &@1, $2); }
|	volume_statement
|	volume
|	ON names '{'			{ tree_on(CONFIG, &@1, $2); }
	host '}'			{ tree_host_end(CONFIG); }
|	FLOATING			{ tree_floating(CONFIG, &@1); }
	floating_address floating_host	{ tree_host_end(CONFIG); }
|	STACKED name '{' anything '}'
		{ tree_refuse(CONFIG, &@1,
			"it is stacked on '%s'; stacked resources are not supported", $2); }
|	PROXY '{' anything '}'
		{ tree_refuse(CONFIG, &@1, "it uses DRBD Proxy, which is not supported"); }
|	CONNECTION '{' anything '}'
		{ tree_refuse(CONFIG, &@1, "'connection' is not supported; give an address in each 'on'"); }
|	CONNECTION name '{' anything '}'
		{ tree_refuse(CONFIG, &@1, "'connection' is not supported; give an address in each 'on'"); }
|	MESH '{' mesh '}'
|	IGNORE_ON name ';'		{ tree_remark(CONFIG, &@1, $1, TREATMENT_IGNORE_ON); }
|	TEMPLATE name ';'
		{ tree_refuse(CONFIG, &@1, "'template-file' is not supported; use include"); }
|	THIS_HOST '{' anything '}'
		{ tree_refuse(CONFIG, &@1, "'_this_host' is the form of drbdsetup show; write 'on HOST'"); }
|	REMOTE_HOST '{' anything '}'
		{ tree_refuse(CONFIG, &@1, "'_remote_host' is the form of drbdsetup show; write 'on HOST'"); }
|	SKIP
;

section:
	DISK '{'			{ tree_section(CONFIG, &@1, SECTION_DISK); }
	options '}'
|	NET '{'				{ tree_section(CONFIG, &@1, SECTION_NET); }
	options '}'
|	SYNCER '{'			{ tree_section(CONFIG, &@1, SECTION_SYNCER); }
	options '}'
|	STARTUP '{'			{ tree_section(CONFIG, &@1, SECTION_STARTUP); }
	options '}'
|	HANDLERS '{'			{ tree_section(CONFIG, &@1, SECTION_HANDLERS); }
	options '}'
|	OPTIONS '{'			{ tree_section(CONFIG, &@1, SECTION_OPTIONS); }
	options '}'
;

mesh:
	%empty
|	mesh HOSTS names ';'		{ tree_mesh(CONFIG, &@2, $3); }
|	mesh NET '{'			{ tree_section_inner(CONFIG, SECTION_NET); }
	options '}'
;

/* --- a host --- */

floating_address:
	address
;

floating_host:
	';'
|	'{' host '}'
;

host:
	%empty
|	host host_statement
;

host_statement:
	volume_statement
|	volume
|	ADDRESS address ';'
|	ALTERNATE address_text ';'
		{ tree_refuse(CONFIG, &@1, "'alternate-link-address' is not supported"); }
|	NODE_ID INTEGER ';'		{ tree_remark(CONFIG, &@1, $1, TREATMENT_NINE_ONLY); }
|	PROXY ON names '{' anything '}'
		{ tree_refuse(CONFIG, &@1, "it uses DRBD Proxy, which is not supported"); }
|	OPTIONS '{'			{ tree_section_inner(CONFIG, SECTION_OPTIONS); }
	options '}'
;

address:
	family ip ':' INTEGER		{ host_address(CONFIG, &@2, $1, $2, $4); }
|	ip ':' INTEGER
		{ host_address(CONFIG, &@1, strchr($1, ':') ? "ipv6" : "ipv4", $1, $3); }
|	STRING ':' INTEGER		{ host_address(CONFIG, &@1, "ipv4", $1, $3); }
;

address_text:
	ip ':' INTEGER
|	family ip ':' INTEGER
;

family:
	STRING
;

ip:
	IPV4
|	'[' IPV6 ']'			{ $$ = $2; }
;

volume:
	VOLUME INTEGER '{'		{ tree_volume(CONFIG, &@1, $2); }
	volume_body '}'			{ tree_volume_end(CONFIG); }
;

volume_body:
	%empty
|	volume_body volume_statement
|	volume_body DISK '{'		{ tree_section_inner(CONFIG, SECTION_DISK); }
	options '}'
;

volume_statement:
	DEVICE name ';'			{ host_device(CONFIG, &@1, $2, NULL); }
|	DEVICE name MINOR INTEGER ';'	{ host_device(CONFIG, &@1, $2, $4); }
|	DEVICE MINOR INTEGER ';'	{ host_device(CONFIG, &@1, NULL, $3); }
|	DISK name ';'			{ host_disk(CONFIG, &@1, $2); }
|	META_DISK name ';'		{ host_meta(CONFIG, &@1, $2, NULL); }
|	META_DISK name '[' INTEGER ']' ';' { host_meta(CONFIG, &@1, $2, $4); }
|	FLEXIBLE name ';'		{ host_meta(CONFIG, &@1, $2, NULL); }
;

/* --- what is not looked at, because the resource is refused --- */

anything:
	%empty
|	anything any
|	anything '{' anything '}'
;

any:
	STRING | INTEGER | QUOTED | IPV4 | IPV6 | OPTION | IS_DEFAULT | ';' | ':' | '[' | ']'
|	GLOBAL | COMMON | RESOURCE | INCLUDE | SKIP | REQUIRE | ON | FLOATING | VOLUME | STACKED | PROXY
|	CONNECTION | MESH | HOSTS | DISK | NET | SYNCER | STARTUP | HANDLERS | OPTIONS | PROTOCOL | DEVICE
|	MINOR | ADDRESS | META_DISK | FLEXIBLE | NODE_ID | IGNORE_ON | TEMPLATE | THIS_HOST | REMOTE_HOST
|	ALTERNATE
;

%%

static void drbdconf_error(const DRBDCONF_LTYPE *at, struct scanner *scanner, void *yyscanner,
			   const char *text)
{
	(void)yyscanner;
	if (!strcmp(text, "memory exhausted"))
		text = "braces inside braces, too deep";
	config_say(scanner->config, CONFIG_ERROR, at, "Parse error: %s", text);
}

/* "'A | B' expected, but got 'X'". The names of single characters come in quotes, the others without. */
static void add_expected(char *list, size_t size, const char *name)
{
	size_t used = strlen(list), len = strlen(name);
	bool quoted = len == 3 && *name == '\'';

	snprintf(list + used, size - used, "%s%.*s", used ? " | " : "", (int)(quoted ? 1 : len),
		 name + quoted);
}

static int yyreport_syntax_error(const yypcontext_t *context, struct scanner *scanner, void *yyscanner)
{
	enum { EXPECTED_MAX = 60 };
	yysymbol_kind_t expected[EXPECTED_MAX], got = yypcontext_token(context);
	int i, n = yypcontext_expected_tokens(context, expected, EXPECTED_MAX);
	char list[1024] = "";

	(void)yyscanner;
	for (i = 0; i < n; i++)
		if (expected[i] != YYSYMBOL_IS_DEFAULT)		/* only drbdsetup writes it */
			add_expected(list, sizeof(list), yysymbol_name(expected[i]));
	config_say(CONFIG, CONFIG_ERROR, yypcontext_location(context),
		   "Parse error: '%s' expected, but got '%s'", list,
		   got == YYSYMBOL_YYEOF ? "end of file" : scanner->got);
	return 0;
}
