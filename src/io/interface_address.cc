#include "io/interface_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "io/descriptor.h"

namespace umbra::io {

Result<std::string> ipv4_address_of(const std::string& interface) {
  ifreq asked{};
  int error = ENODEV;
  if (interface.size() < sizeof asked.ifr_name) {  // no longer one is an interface's
    interface.copy(asked.ifr_name, interface.size());
    // Not by getifaddrs(3): that takes a netlink socket, which a service may be forbidden to open.
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const bool told = socket.good() && ::ioctl(socket.get(), SIOCGIFADDR, &asked) == 0;
    error = told ? 0 : errno;
  }
  switch (error) {
    case 0:
      break;
    case ENODEV:
      return fail(Errc::not_found, fmt::format("there is no interface {} (ip-address)", interface));
    case EADDRNOTAVAIL:
      return fail(Errc::not_found,
                  fmt::format("the interface {} has no IPv4 address (ip-address)", interface));
    default:
      return fail(Errc::not_found,
                  fmt::format("the address of the interface {} cannot be read (ip-address): {}",
                              interface, std::strerror(error)));
  }
  sockaddr_in address{};
  std::memcpy(&address, &asked.ifr_addr, sizeof address);
  char text[INET_ADDRSTRLEN];
  ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
  return std::string(text);
}

}  // namespace umbra::io
