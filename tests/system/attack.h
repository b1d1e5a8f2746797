#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include "scep/message.h"

/// What attackers and measurements have in common: HTTP to loopback, and no more of it than they
/// need.
namespace umbra::attack {

[[noreturn]] inline void stop(const std::string& why) {
  fmt::print(stderr, "attack: {}\n", why);
  std::exit(2);
}

class SystemRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override { x509::random_octets(out); }
};

inline sockaddr_in loopback(std::uint32_t address, std::uint16_t port) {
  sockaddr_in made{};
  made.sin_family = AF_INET;
  made.sin_port = htons(port);
  made.sin_addr.s_addr = htonl(address);
  return made;
}

inline int connected(std::uint32_t from, std::uint16_t port, bool blocking) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);
  if (fd < 0) return -1;
  const int one = 1;
  ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const sockaddr_in own = loopback(from, 0);
  const sockaddr_in theirs = loopback(INADDR_LOOPBACK, port);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 ||
      (::connect(fd, reinterpret_cast<const sockaddr*>(&theirs), sizeof theirs) != 0 &&
       errno != EINPROGRESS)) {
    ::close(fd);
    return -1;
  }
  return fd;
}

inline std::string post(const Bytes& body, const char* connection = "keep-alive") {
  return fmt::format(
      "POST /scep?operation=PKIOperation HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n"
      "Content-Type: application/x-pki-message\r\nContent-Length: {}\r\n\r\n{}",
      connection, body.size(), as_text(body));
}
inline std::string get(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

/// How many octets the whole answer at the front has; 0 if it is not all there.
inline std::size_t answer_size(const std::string& in) {
  const std::size_t end = in.find("\r\n\r\n");
  if (end == std::string::npos) return 0;
  const std::size_t at = in.find("Content-Length: ");
  const std::size_t length =
      at < end ? std::strtoul(in.c_str() + at + 16, nullptr, 10) : std::size_t{0};
  return in.size() >= end + 4 + length ? end + 4 + length : 0;
}

/// One exchange on a connection of its own. Out: the answer, empty if there was none.
inline std::string converse(std::uint16_t port, const std::string& request) {
  const int fd = connected(INADDR_LOOPBACK, port, true);
  if (fd < 0) return {};
  const timeval patience{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  std::string in;
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
      static_cast<ssize_t>(request.size())) {
    char chunk[16384];
    ssize_t got = 0;
    while (answer_size(in) == 0 && (got = ::recv(fd, chunk, sizeof chunk, 0)) > 0)
      in.append(chunk, static_cast<std::size_t>(got));
  }
  ::close(fd);
  return answer_size(in) != 0 ? in : std::string();
}

}  // namespace umbra::attack
