/*
 * Eight threads sign and check at once, while one goes on changing settings.
 *
 * threads FOLDER URL
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <secsipid.h>

#define THREADS 8
#define ROUNDS 300

static char key[512], cert[512], url[512];

static void *work(void *number)
{
	long wrong = 0;
	for(int n = 0; n < ROUNDS; n++) {
		char *value = NULL;
		/* By file and by URL, under several timeouts: more than verifiers are kept for. */
		char *from = (n + (int)(long)number) % 2 ? cert : "";
		int signed_ = SecSIPIDGetIdentity("12155551212", "12155551213", "A", "", url, key, &value);
		int checked = SecSIPIDCheckFull(value, 0, 300, from, 5 + n % 6);
		int stale = SecSIPIDCheckFull(value, 0, -1, from, 5);
		int other = SecSIPIDCheck(value, 0, 300, key, 5);
		if(signed_ <= 0 || checked != 0 || stale != -232 || other != -101)
			if(wrong++ == 0)
				printf("%d %d %d %d\n", signed_, checked, stale, other);
		free(value);
	}
	return (void *)wrong;
}

static void *change(void *unused)
{
	long wrong = 0;
	for(int n = 0; n < ROUNDS; n++)
		if(SecSIPIDOptSetN("CacheExpires", 1000 + n) != 0
				|| SecSIPIDOptGetN("CacheExpires") != 1000 + n
				|| SecSIPIDOptSetN("AttrsVerify", n % 2) != 0)
			wrong++;
	(void)unused;
	return (void *)wrong;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS + 1];
	long failed = 0;
	if(argc != 3)
		return 2;
	snprintf(key, sizeof key, "%s/key.pem", argv[1]);
	snprintf(cert, sizeof cert, "%s/cert.pem", argv[1]);
	snprintf(url, sizeof url, "%s/cert.pem", argv[2]);
	for(long n = 0; n <= THREADS; n++)
		if(pthread_create(&threads[n], NULL, n < THREADS ? work : change, (void *)n) != 0)
			return 2;
	for(int n = 0; n <= THREADS; n++) {
		void *wrong = NULL;
		pthread_join(threads[n], &wrong);
		failed += (long)wrong;
	}
	printf("wrong: %ld\n", failed);
	return failed != 0;
}
