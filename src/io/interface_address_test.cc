#include "io/interface_address.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace umbra::io {
namespace {

/// Why this kernel filters no system calls; nothing if it does. One that does looks at the filter,
/// and there is none here.
std::string no_filters() {
  const bool knows_none =
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, nullptr, 0, 0) != 0 && errno == EINVAL;
  return knows_none ? std::strerror(errno) : "";
}

/// From now on this process gets EAFNOSUPPORT for sockets of this family, as a service does for
/// those that RestrictAddressFamilies= does not name.
bool refuse_sockets_of(unsigned family) {
  // The lower half of an argument of 64 bits.
  constexpr unsigned family_at =
      offsetof(seccomp_data, args) + (std::endian::native == std::endian::big ? 4 : 0);
  std::array<sock_filter, 6> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, family_at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, family, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{program.size(), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0 &&
         ::socket(static_cast<int>(family), SOCK_DGRAM, 0) < 0 && errno == EAFNOSUPPORT;
}

/// What a process is told that gets no sockets of this family: the address, or the error's detail.
std::string told_without(unsigned family, const std::string& interface) {
  int channel[2];
  if (::pipe(channel) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said = "it could not be refused sockets";
    if (refuse_sockets_of(family)) {
      const auto found = ipv4_address_of(interface);
      said = found ? *found : found.error().detail;
    }
    ::_exit(::write(channel[1], said.data(), said.size()) < 0 ? 1 : 0);
  }
  ::close(channel[1]);
  std::array<char, 1000> told;
  const ssize_t got = ::read(channel[0], told.data(), told.size());
  ::close(channel[0]);
  ::waitpid(child, nullptr, 0);
  return {told.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

TEST(InterfaceAddress, IsTheFirstOneOfTheInterface) {
  const auto found = ipv4_address_of("lo");
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_EQ(*found, "127.0.0.1");
}

TEST(InterfaceAddress, OfNoInterfaceIsNone) {
  for (const char* name : {"Loopback7", "", "GigabitEthernet0/0/0"}) {
    const auto found = ipv4_address_of(name);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, Errc::not_found);
    EXPECT_EQ(found.error().detail, "there is no interface " + std::string(name) + " (ip-address)");
  }
}

TEST(InterfaceAddress, IsToldToAServiceThatMayOpenNoNetlinkSocket) {
  if (const std::string why = no_filters(); !why.empty())
    GTEST_SKIP() << "this kernel filters no system calls: " << why;
  EXPECT_EQ(told_without(AF_NETLINK, "lo"), "127.0.0.1");
}

TEST(InterfaceAddress, ThatCannotBeReadIsSaidWithTheReason) {
  if (const std::string why = no_filters(); !why.empty())
    GTEST_SKIP() << "this kernel filters no system calls: " << why;
  EXPECT_EQ(told_without(AF_INET, "lo"),
            std::string("the address of the interface lo cannot be read (ip-address): ") +
                std::strerror(EAFNOSUPPORT));
}

}  // namespace
}  // namespace umbra::io
