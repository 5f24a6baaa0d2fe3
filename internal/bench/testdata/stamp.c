// Prints when it started: CLOCK_MONOTONIC, in nanoseconds. Linked statically, so
// that main is as near to the first instruction as a C program's can be.
#include <stdio.h>
#include <time.h>

int main(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	printf("%ld\n", t.tv_sec * 1000000000L + t.tv_nsec);
}
