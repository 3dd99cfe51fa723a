/*
 * Signs, checks and downloads; then does the same in children, while threads of the parent are in
 * the middle of it.
 *
 * forks FOLDER URL
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <secsipid.h>

#define THREADS 4
/* Children that download, and those that only sign and check: so many that a lock would be held at
 * one of the forks. */
#define CHILDREN 20
#define QUICK_CHILDREN 300
/* A child that hangs is killed by its alarm. */
#define PATIENCE 20

static char key[512], cert[512], url[512];
static atomic_int stop;

/* 0, or which step went wrong. Without a timeout there is no download. */
static int work(int timeout)
{
	char *value = NULL, *text = NULL;
	int len = 0, wrong = 0;
	if(SecSIPIDGetIdentity("12155551212", "12155551213", "A", "", url, key, &value) <= 0)
		wrong = 1;
	else if(SecSIPIDCheckFull(value, 0, 300, cert, 5) != 0)
		wrong = 2;
	else if(timeout == 0)
		wrong = 0;
	else if(SecSIPIDCheckFull(value, 0, 300, "", timeout) != 0)
		wrong = 3;
	else if(SecSIPIDGetURLContent(url, timeout, &text, &len) != 0 || len == 0)
		wrong = 4;
	free(value), free(text);
	return wrong;
}

static void *keep_working(void *download)
{
	while(!stop)
		if(work(download == NULL ? 0 : 5) != 0)
			return (void *)1;
	return NULL;
}

/* Forks a child that signs and checks; its exit status. */
static int quick_child(void)
{
	int status = -1;
	pid_t pid = fork();
	if(pid == 0) {
		alarm(PATIENCE);
		_exit(work(0));
	}
	if(pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return status;
}

/* Forks a child that changes settings before anything else; its exit status. */
static int setting_child(void)
{
	int status = -1;
	pid_t pid;
	fflush(stdout);
	pid = fork();
	if(pid == 0) {
		alarm(PATIENCE);
		_exit(SecSIPIDSetFileCacheOptions("", 79) == 0 ? work(5) : 40);
	}
	if(pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return status;
}

/* Forks a child that works, changes settings and works again; its exit status. */
static int child(void)
{
	int status = -1;
	pid_t pid;
	fflush(stdout);
	pid = fork();
	if(pid == 0) {
		int wrong;
		alarm(PATIENCE);
		wrong = SecSIPIDOptGetN("CacheExpires") == 77 ? work(5) : 10;
		if(wrong == 0 && SecSIPIDSetFileCacheOptions("", 78) == 0)
			wrong = work(6);
		/* A child of the child. */
		if(wrong == 0) {
			pid = fork();
			if(pid == 0) {
				alarm(PATIENCE);
				_exit(SecSIPIDOptGetN("CacheExpires") == 78 ? work(5) : 20);
			}
			if(pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
				wrong = 30;
		}
		_exit(wrong);
	}
	if(pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return status;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	int failed = 0;
	if(argc != 3)
		return 2;
	snprintf(key, sizeof key, "%s/key.pem", argv[1]);
	snprintf(cert, sizeof cert, "%s/cert.pem", argv[1]);
	snprintf(url, sizeof url, "%s/cert.pem", argv[2]);
	if(SecSIPIDOptSetN("CacheExpires", 77) != 0 || work(5) != 0)
		return 2;
	printf("child: %d\n", child());
	printf("child that sets: %d\n", setting_child());
	printf("parent: %d\n", work(5));
	for(int n = 0; n < THREADS; n++)
		if(pthread_create(&threads[n], NULL, keep_working, n % 2 ? url : NULL) != 0)
			return 2;
	for(int n = 0; n < CHILDREN && failed == 0; n++)
		failed = child();
	for(int n = 0; n < QUICK_CHILDREN && failed == 0; n++)
		failed = quick_child();
	stop = 1;
	for(int n = 0; n < THREADS; n++) {
		void *wrong = NULL;
		pthread_join(threads[n], &wrong);
		failed += wrong == NULL ? 0 : 1000000;
	}
	printf("among threads: %d\n", failed);
	return failed != 0;
}
