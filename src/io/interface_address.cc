#include "io/interface_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <memory>

namespace umbra::io {

Result<std::string> ipv4_address_of(const std::string& interface) {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0)
    return fail(Errc::not_found, "the interfaces of this host cannot be read");
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> all(first, &::freeifaddrs);
  for (const ifaddrs* one = first; one; one = one->ifa_next) {
    if (interface != one->ifa_name || !one->ifa_addr || one->ifa_addr->sa_family != AF_INET)
      continue;
    char text[INET_ADDRSTRLEN];
    const auto* const address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
    if (::inet_ntop(AF_INET, &address->sin_addr, text, sizeof text)) return std::string(text);
  }
  return fail(Errc::not_found,
              ::if_nametoindex(interface.c_str()) == 0
                  ? fmt::format("there is no interface {} (ip-address)", interface)
                  : fmt::format("the interface {} has no IPv4 address (ip-address)", interface));
}

}  // namespace umbra::io
