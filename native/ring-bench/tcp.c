/* A round trip of 64 bytes over TCP between two kernels, for comparison. */
#include "tcp.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "../common/interface.h"
#include "../common/fail.h"
#include "../ring/laps.h"

int tcp_end(const char *interface, const char *address, const char *peer, uint32_t count)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(7777) };
	struct laps fastest = { 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char bytes[64] = { 0 };

	errno = interface_set_address(interface, address, NULL);
	if (errno == 0)
		errno = interface_up(interface);
	if (errno != 0)
		fail("%s %s", interface, address);
	if (inet_pton(AF_INET, peer ? peer : address, &to.sin_addr) != 1)
		fail("the address");
	if (peer == NULL) {
		if (bind(fd, (struct sockaddr *)&to, sizeof to) != 0 || listen(fd, 1) != 0)
			fail("listen");
		puts("ready");
		fflush(stdout);
		fd = accept(fd, NULL, NULL);
	} else if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		fail("connect");
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	for (uint32_t i = 0; peer == NULL || i < count; i++) {
		if (peer != NULL)
			lap_of(&fastest, i, 200);
		if (peer != NULL && send(fd, bytes, sizeof bytes, 0) != sizeof bytes)
			fail("send");
		if (recv(fd, bytes, sizeof bytes, MSG_WAITALL) != sizeof bytes)
			break;
		if (peer == NULL && send(fd, bytes, sizeof bytes, 0) != sizeof bytes)
			fail("send");
	}
	if (peer != NULL)
		printf("%.1f\n", fastest.nanoseconds);
	return 0;
}
