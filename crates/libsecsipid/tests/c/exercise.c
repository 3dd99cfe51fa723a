/*
 * Calls every function of libsecsipid and prints what came of it, a line for each call: run with the
 * stock library and with ours, it prints the same.
 *
 * exercise FOLDER URL: key.pem, cert.pem … are in the folder, cert.pem also at URL/cert.pem.
 * exercise FOLDER sign: prints an Identity header field value.
 * exercise FOLDER check VALUE: prints the code of checking it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <secsipid.h>

/* Not in every release of the stock library. */
#pragma weak SecSIPIDSignJSONHPPrvKey
#pragma weak SecSIPIDOptGetN

#define ORIG "12155551212"
#define DEST "12155551213"
#define ORIGID "de305d54-75b4-431b-adb2-eb6b9e546014"
#define X5U "https://cert.example.org/shaken.pem"
#define HEADER "{\"alg\":\"ES256\",\"ppt\":\"shaken\",\"typ\":\"passport\",\"x5u\":\"" X5U "\"}"
#define PARAMS ";info=<" X5U ">;alg=ES256;ppt=shaken"

static const char *folder;
static const char *url;

static void line(const char *label, int result)
{
	printf("%s: %d\n", label, result);
	fflush(stdout);
}

/* A path in the folder; it stays until the next but seven. */
static char *at(const char *name)
{
	static char paths[8][512];
	static int next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static char *under(const char *name)
{
	static char text[512];
	snprintf(text, sizeof text, "%s/%s", url, name);
	return text;
}

/* A file's text, to be freed. */
static char *slurp(const char *name)
{
	char *text = calloc(1, 16384);
	FILE *file = fopen(at(name), "r");
	if(text == NULL || file == NULL || fread(text, 1, 16383, file) == 0) {
		perror(name);
		exit(2);
	}
	fclose(file);
	return text;
}

/* What a signing function returned: its length must be that of the text, or the text empty. */
static char *out(const char *label, int result, char *text)
{
	if(text == NULL || (int)strlen(text) != (result > 0 ? result : 0)) {
		printf("%s: returned %d with \"%s\"\n", label, result, text ? text : "(null)");
		exit(2);
	}
	line(label, result);
	return text;
}

/* A payload as of so many seconds from now. */
static char *payload(long from_now)
{
	static char text[512];
	snprintf(text, sizeof text,
			"{\"attest\":\"A\",\"dest\":{\"tn\":[\"" DEST "\"]},\"iat\":%ld,"
			"\"orig\":{\"tn\":\"" ORIG "\"},\"origid\":\"" ORIGID "\"}",
			(long)time(NULL) + from_now);
	return text;
}

static char *sign_json(const char *label, char *header, char *payload, char *key)
{
	char *text = NULL;
	int result = SecSIPIDSignJSONHP(header, payload, key, &text);
	return out(label, result, text);
}

static char *identity(const char *label, char *attest, char *origid, char *x5u, char *key)
{
	char *text = NULL;
	int result = SecSIPIDGetIdentity(ORIG, DEST, attest, origid, x5u, key, &text);
	return out(label, result, text);
}

static char *identity_pem(const char *label, char *attest, char *origid, char *x5u, char *pem)
{
	char *text = NULL;
	int result = SecSIPIDGetIdentityPrvKey(ORIG, DEST, attest, origid, x5u, pem, &text);
	return out(label, result, text);
}

static void signing(void)
{
	char *pem = slurp("key.pem");
	free(sign_json("sign-json", HEADER, payload(0), at("key.pem")));
	free(sign_json("sign-json-unsorted", "{\"typ\":\"passport\", \"alg\":\"ES256\"}", payload(0),
			at("key.pem")));
	free(sign_json("sign-json-no-alg", "{}", payload(0), at("key.pem")));
	free(sign_json("sign-json-null", NULL, NULL, at("key.pem")));
	free(sign_json("sign-json-no-key", HEADER, payload(0), at("none.pem")));
	free(sign_json("sign-json-null-key", HEADER, payload(0), NULL));
	if(SecSIPIDSignJSONHPPrvKey) {
		char *text = NULL;
		int result = SecSIPIDSignJSONHPPrvKey(HEADER, payload(0), pem, &text);
		free(out("sign-json-prvkey", result, text));
	} else {
		puts("sign-json-prvkey: missing");
	}
	free(identity("identity", "A", ORIGID, X5U, at("key.pem")));
	free(identity("identity-new-origid", "B", "", X5U, at("key.pem")));
	free(identity("identity-null-origid", "C", NULL, X5U, at("key.pem")));
	free(identity("identity-attest-z", "Z", ORIGID, X5U, at("key.pem")));
	free(identity("identity-no-x5u", "A", ORIGID, "", at("key.pem")));
	free(identity("identity-no-key", "A", ORIGID, X5U, at("none.pem")));
	free(identity("identity-null-key", "A", ORIGID, X5U, NULL));
	free(identity("identity-cert-as-key", "A", ORIGID, X5U, at("cert.pem")));
	free(identity_pem("identity-prvkey", "A", ORIGID, X5U, pem));
	free(identity_pem("identity-prvkey-junk", "A", ORIGID, X5U, "junk"));
	free(identity_pem("identity-prvkey-null", "A", ORIGID, X5U, NULL));
	line("opt-x5u", SecSIPIDOptSetS("x5u", X5U));
	free(identity("identity-default-x5u", "A", ORIGID, "", at("key.pem")));
	free(pem);
}

static void checking(void)
{
	char *value = identity("check-value", "A", ORIGID, X5U, at("key.pem"));
	int len = (int)strlen(value);
	int token = (int)(strchr(value, ';') - value);
	char *old = sign_json("check-old", HEADER, payload(-1000), at("key.pem"));
	char *future = sign_json("check-future", HEADER, payload(1000), at("key.pem"));
	char *cert = slurp("cert.pem"), *public = slurp("public.pem");
	char *longer = malloc(len + 64);
	if(longer == NULL)
		exit(2);

	line("check", SecSIPIDCheck(value, token, 300, at("public.pem"), 5));
	line("check-with-params", SecSIPIDCheck(value, 0, 300, at("public.pem"), 5));
	line("check-no-path", SecSIPIDCheck(value, token, 300, "", 5));
	line("check-null-path", SecSIPIDCheck(value, token, 300, NULL, 5));
	line("check-null", SecSIPIDCheck(NULL, 0, 300, at("public.pem"), 5));
	line("check-stale", SecSIPIDCheck(old, 0, 300, at("public.pem"), 5));
	line("check-stale-allowed", SecSIPIDCheck(old, 0, 2000, at("public.pem"), 5));
	line("check-stale-again", SecSIPIDCheck(old, 0, 999, at("public.pem"), 5));
	line("check-ahead", SecSIPIDCheck(future, 0, 300, at("public.pem"), 5));
	line("check-expire-negative", SecSIPIDCheck(value, token, -1, at("public.pem"), 5));

	line("full", SecSIPIDCheckFull(value, 0, 300, at("cert.pem"), 5));
	line("full-length", SecSIPIDCheckFull(value, len, 300, at("public.pem"), 5));
	/* The length counts, whatever follows. */
	snprintf(longer, len + 64, "%s;alg=none", value);
	line("full-longer", SecSIPIDCheckFull(longer, 0, 300, at("cert.pem"), 5));
	line("full-cut", SecSIPIDCheckFull(longer, len, 300, at("cert.pem"), 5));
	line("full-no-params", SecSIPIDCheckFull(value, token, 300, at("cert.pem"), 5));
	line("full-empty", SecSIPIDCheckFull("", 0, 300, at("cert.pem"), 5));
	line("full-junk", SecSIPIDCheckFull("a.b.c", 0, 300, at("cert.pem"), 5));
	line("full-other-key", SecSIPIDCheckFull(value, 0, 300, at("other.pem"), 5));
	line("full-no-file", SecSIPIDCheckFull(value, 0, 300, at("none.pem"), 5));
	line("full-key-junk", SecSIPIDCheckFull(value, 0, 300, at("junk"), 5));
	strcpy(longer, value);
	longer[token - 4] = longer[token - 4] == 'A' ? 'B' : 'A';
	line("full-changed", SecSIPIDCheckFull(longer, 0, 300, at("cert.pem"), 5));
	snprintf(longer, len + 64, "%.*s;info=<https://other.example.org/>;alg=ES256;ppt=shaken",
			token, value);
	line("full-info-differs", SecSIPIDCheckFull(longer, 0, 300, at("cert.pem"), 5));

	line("pubkey", SecSIPIDCheckFullPubKey(value, 0, 300, public, 0));
	line("pubkey-cert", SecSIPIDCheckFullPubKey(value, len, 300, cert, (int)strlen(cert)));
	line("pubkey-token", SecSIPIDCheckFullPubKey(value, token, 300, public, 0));
	line("pubkey-junk", SecSIPIDCheckFullPubKey(value, 0, 300, "junk", 0));
	line("pubkey-null", SecSIPIDCheckFullPubKey(value, 0, 300, NULL, 0));
	line("pubkey-cut", SecSIPIDCheckFullPubKey(value, 0, 300, public, 40));
	free(longer), free(value), free(old), free(future), free(cert), free(public);
}

static void get_url(const char *label, char *name, int timeout)
{
	char *text = NULL;
	int len = 0;
	line(label, SecSIPIDGetURLContent(name, timeout, &text, &len));
	if(text != NULL) {
		char *file = slurp("cert.pem");
		printf("%s-same: %d\n", label, len == (int)strlen(file) && !strcmp(text, file));
		free(file);
	} else if(len != 0) {
		exit(2);
	}
	free(text);
}

static void downloading(void)
{
	char *value = identity("url-value", "A", ORIGID, under("cert.pem"), at("key.pem"));
	char *lost = identity("url-lost", "A", ORIGID, under("none.pem"), at("key.pem"));
	char cache[512];
	snprintf(cache, sizeof cache, "%s/cache", folder);
	line("url", SecSIPIDCheckFull(value, 0, 300, "", 5));
	line("url-null", SecSIPIDCheckFull(value, 0, 300, NULL, 5));
	line("url-path", SecSIPIDCheckFull(value, 0, 300, under("cert.pem"), 5));
	line("url-not-found", SecSIPIDCheckFull(lost, 0, 300, "", 5));
	line("url-silent", SecSIPIDCheckFull(lost, 0, 300, under("silent"), 1));
	line("url-junk", SecSIPIDCheckFull(lost, 0, 300, under("junk"), 5));
	get_url("get", under("cert.pem"), 5);
	get_url("get-no-timeout", under("cert.pem"), 0);
	get_url("get-not-found", under("none.pem"), 5);
	get_url("get-silent", under("silent"), 1);
	get_url("get-refused", "http://127.0.0.1:1/", 5);
	get_url("get-empty", "", 5);
	get_url("get-null", NULL, 5);
	get_url("get-ftp", "ftp://127.0.0.1/", 5);
	line("cache", SecSIPIDSetFileCacheOptions(cache, 3600));
	line("cache-fill", SecSIPIDCheckFull(value, 0, 300, "", 5));
	line("cache-hit", SecSIPIDCheckFull(value, 0, 300, "", 5));
	get_url("cache-get", under("cert.pem"), 5);
	line("cache-null", SecSIPIDSetFileCacheOptions(NULL, 0));
	line("cache-negative", SecSIPIDSetFileCacheOptions("", -1));
	free(value), free(lost);
}

static void trusting(void)
{
	char *value = identity("trust-value", "A", ORIGID, X5U, at("key.pem"));
	char option[600];
	line("trust-option", SecSIPIDOptSetN("CertVerify", 4));
	line("trust-no-file", SecSIPIDCheckFull(value, 0, 300, at("cert.pem"), 5));
	line("trust-file", SecSIPIDOptSetS("CertCAFile", at("ca.pem")));
	line("trust", SecSIPIDCheckFull(value, 0, 300, at("cert.pem"), 5));
	line("trust-other", SecSIPIDCheckFull(value, 0, 300, at("stranger.pem"), 5));
	snprintf(option, sizeof option, "CertCAFile=%s", at("none.pem"));
	line("trust-file-v", SecSIPIDOptSetV(option));
	line("trust-unreadable", SecSIPIDCheckFull(value, 0, 300, at("cert.pem"), 5));
	line("trust-time", SecSIPIDOptSetV("CertVerify=1"));
	line("trust-expired", SecSIPIDCheckFull(value, 0, 300, at("expired.pem"), 5));
	line("trust-off", SecSIPIDOptSetV("CertVerify=0"));
	line("trust-nothing", SecSIPIDCheckFull(value, 0, 300, at("expired.pem"), 5));
	free(value);
}

static void get_option(const char *label, char *name)
{
	if(SecSIPIDOptGetN)
		line(label, SecSIPIDOptGetN(name));
	else
		printf("%s: missing\n", label);
}

static void options(void)
{
	line("n-expires", SecSIPIDOptSetN("CacheExpires", 60));
	get_option("get-n-expires", "CacheExpires");
	get_option("get-n-verify", "CertVerify");
	get_option("get-n-unknown", "CertVerfy");
	get_option("get-n-null", NULL);
	line("n-negative", SecSIPIDOptSetN("CacheExpires", -1));
	line("n-bits", SecSIPIDOptSetN("CertVerify", 64));
	line("n-bits-back", SecSIPIDOptSetN("CertVerify", 0));
	line("n-text", SecSIPIDOptSetN("CertCAFile", 1));
	line("n-unknown", SecSIPIDOptSetN("CertVerfy", 1));
	line("n-null", SecSIPIDOptSetN(NULL, 1));
	line("n-attributes", SecSIPIDOptSetN("AttrsVerify", 0));
	line("n-attributes-back", SecSIPIDOptSetN("AttrsVerify", 1));
	line("s-inter", SecSIPIDOptSetS("CertCAInter", ""));
	line("s-crl", SecSIPIDOptSetS("CertCRLFile", NULL));
	line("s-folder", SecSIPIDOptSetS("CacheDirPath", ""));
	line("s-number", SecSIPIDOptSetS("CertVerify", "1"));
	line("s-unknown", SecSIPIDOptSetS("CertVerfy", "1"));
	line("s-null", SecSIPIDOptSetS(NULL, NULL));
	line("v", SecSIPIDOptSetV("CacheExpires=60"));
	line("v-text", SecSIPIDOptSetV("CertCAFile=a=b"));
	line("v-junk", SecSIPIDOptSetV("CertVerify=x"));
	line("v-unknown", SecSIPIDOptSetV("CertVerfy=1"));
	line("v-empty", SecSIPIDOptSetV("="));
}

int main(int argc, char **argv)
{
	if(argc < 3)
		return 2;
	folder = argv[1];
	url = argv[2];
	if(strcmp(argv[2], "sign") == 0) {
		char *text = NULL;
		if(SecSIPIDGetIdentity(ORIG, DEST, "A", "", X5U, at("key.pem"), &text) <= 0)
			return 1;
		puts(text);
		free(text);
	} else if(strcmp(argv[2], "check") == 0 && argc == 4) {
		line("check", SecSIPIDCheckFull(argv[3], 0, 300, at("cert.pem"), 5));
	} else {
		signing();
		checking();
		downloading();
		trusting();
		options();
	}
	return 0;
}
