/*
 * What the stock library crashes of, and what it lacks: prints a line for each thing that is not as
 * it should be.
 *
 * beyond FOLDER
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <secsipid.h>

#define X5U "https://cert.example.org/shaken.pem"
#define BARE "{\"alg\":\"ES256\"}"

static int wrong;

static void expect(const char *what, int result, int expected)
{
	if(result != expected) {
		printf("%s: %d, not %d\n", what, result, expected);
		wrong = 1;
	}
}

#define EXPECT(expected, call) expect(#call, call, expected)

int main(int argc, char **argv)
{
	char key[512], cert[512], params[] = ";info=<" X5U ">;alg=ES256;ppt=shaken";
	char *text = NULL, *value = NULL, *token;
	int len = 7;
	if(argc != 2)
		return 2;
	snprintf(key, sizeof key, "%s/key.pem", argv[1]);
	snprintf(cert, sizeof cert, "%s/cert.pem", argv[1]);

	/* No pointer to put a result in. */
	EXPECT(0, SecSIPIDSignJSONHP(BARE, "{}", key, NULL));
	EXPECT(0, SecSIPIDSignJSONHPPrvKey(BARE, "{}", "", NULL));
	EXPECT(-1, SecSIPIDGetIdentity("1", "2", "A", "", X5U, key, NULL));
	EXPECT(-152, SecSIPIDGetIdentityPrvKey("1", "2", "A", "", X5U, "", NULL));
	EXPECT(-401, SecSIPIDGetURLContent("", 1, NULL, NULL));
	EXPECT(-401, SecSIPIDGetURLContent("", INT_MIN, &text, &len));
	EXPECT(0, len);
	EXPECT(1, text == NULL);

	/* Lengths that are none, and NULL with one. */
	EXPECT(-1, SecSIPIDCheck("a.b.c", -1, 300, cert, 5));
	EXPECT(-1, SecSIPIDCheckFull("a.b.c", INT_MIN, 300, cert, 5));
	EXPECT(-1, SecSIPIDCheckFullPubKey("a.b.c", 0, 300, "x", -1));
	EXPECT(-304, SecSIPIDCheckFull(NULL, 10, 300, cert, 5));
	EXPECT(-304, SecSIPIDCheckFullPubKey(NULL, INT_MAX, 300, NULL, INT_MAX));

	/* Options without a value. */
	EXPECT(-1, SecSIPIDOptSetV("CertVerify"));
	EXPECT(-1, SecSIPIDOptSetV(""));
	EXPECT(-1, SecSIPIDOptSetV(NULL));

	/* Text that is no UTF-8 is not signed as something else. */
	EXPECT(0, SecSIPIDSignJSONHP(BARE, "{\"a\":\"\xff\"}", key, &text));
	free(text), text = NULL;
	EXPECT(-1, SecSIPIDOptSetS("CertCAFile", "\xff"));
	EXPECT(-301, SecSIPIDCheckFull("\xff", 1, 300, cert, 5));

	/* An option that was not set is as it was; an x5u for calls that name none. */
	EXPECT(0, SecSIPIDOptSetN("CertVerify", 4));
	EXPECT(-1, SecSIPIDOptSetN("CertVerify", 64));
	EXPECT(4, SecSIPIDOptGetN("CertVerify"));
	EXPECT(0, SecSIPIDOptSetV("CertVerify=0"));
	EXPECT(3600, SecSIPIDOptGetN("CacheExpires"));
	EXPECT(0, SecSIPIDSetFileCacheOptions("", INT_MAX));
	EXPECT(INT_MAX, SecSIPIDOptGetN("CacheExpires"));
	EXPECT(0, SecSIPIDOptSetV("x5u=" X5U));
	EXPECT(1, SecSIPIDGetIdentity("1", "2", "A", "", "", key, &value) > 0);
	EXPECT(1, value != NULL && strstr(value, params) != NULL);
	EXPECT(0, SecSIPIDCheckFull(value, 0, INT_MAX, cert, INT_MAX));

	/* AttrsVerify: whether the JOSE header counts. Its payload is that of a good token. */
	if(value != NULL) {
		token = malloc(strlen(value));
		if(token == NULL)
			return 2;
		EXPECT(1, SecSIPIDOptGetN("AttrsVerify"));
		sprintf(token, "%.*s;info=<http://other>", (int)(strchr(value, ';') - value), value);
		EXPECT(-205, SecSIPIDCheckFull(token, 0, 300, cert, 5));
		EXPECT(0, SecSIPIDOptSetN("AttrsVerify", 0));
		EXPECT(0, SecSIPIDOptGetN("AttrsVerify"));
		EXPECT(0, SecSIPIDCheckFull(token, 0, 300, cert, 5));
		EXPECT(0, SecSIPIDOptSetV("AttrsVerify=1"));
		EXPECT(512, SecSIPIDOptGetN("KeyTables"));
		EXPECT(-1, SecSIPIDOptSetN("KeyTables", 3));
		EXPECT(0, SecSIPIDOptSetN("KeyTables", 0));
		EXPECT(0, SecSIPIDOptGetN("KeyTables"));
		EXPECT(0, SecSIPIDOptSetN("KeyTables", 512));
		EXPECT(-205, SecSIPIDCheckFull(token, 0, 300, cert, 5));
		free(token);
	}
	free(value);
	return wrong;
}
