// Shared between the parts of the actor.
#ifndef ACTOR_H
#define ACTOR_H

#include <sys/socket.h>

const char *errno_name(int code);

// address fills in an IPv4 or IPv6 address and returns its length.
socklen_t address(const char *ip, const char *port, struct sockaddr_storage *to);

// crowd is "crowd threads|nonblock N IP PORT": N clients that connect at once
// and stay. It answers with how many connected.
const char *crowd(char **w);

// serve is "serve FD N MICROSECONDS": accept N clients, so long apart.
long serve(char **w);

// malformed is "malformed IP PORT": the results of calls that no sane program
// makes, in one line. It is what the kernel alone must decide.
const char *malformed(char **w);

#endif
