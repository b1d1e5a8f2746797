#include "io/privileges.h"

#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io/files.h"

namespace umbra::io {
namespace {

tl::unexpected<Error> refused(const char* what) {
  return fail(Errc::storage, fmt::format("--user: cannot {}: {}", what, std::strerror(errno)));
}

/// The one right that is kept, of those that are held now.
bool keep_low_ports_alone() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  sets[0].effective = sets[0].permitted = 1U << CAP_NET_BIND_SERVICE;
  return ::syscall(SYS_capset, &header, sets) == 0;
}

/// Nor may it ever come by more of them, as by a program that is set-user-ID.
bool bound_to_low_ports() {
  for (unsigned long right = 0; ::prctl(PR_CAPBSET_READ, right, 0, 0, 0) >= 0; ++right) {
    if (right != CAP_NET_BIND_SERVICE && ::prctl(PR_CAPBSET_DROP, right, 0, 0, 0) != 0)
      return false;
  }
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

}  // namespace

Result<void> become(const std::string& user, const std::string& data_directory) {
  UMBRA_TRY(const FileAccess his, file_access(0700, user, ""));
  const uid_t uid = *his.owner;
  const passwd* const entry = ::getpwuid(uid);
  if (entry == nullptr) return refused("look up its group");
  const gid_t gid = entry->pw_gid;
  if (::geteuid() != 0) {
    if (::geteuid() == uid) return {};
    return fail(Errc::storage, "--user: only root can become another user");
  }
  if (uid == 0) return fail(Errc::storage, "--user: that user is root; name one who is not");
  struct stat found {};
  if (::stat(data_directory.c_str(), &found) != 0) {
    UMBRA_CHECK(make_directory(data_directory));
    if (::chown(data_directory.c_str(), uid, gid) != 0) return refused("give him --data");
  }
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return refused("keep the right to low ports");
  if (::initgroups(user.c_str(), gid) != 0) return refused("take on his groups");
  if (!bound_to_low_ports()) return refused("give up root's rights");
  if (::setresgid(gid, gid, gid) != 0 || ::setresuid(uid, uid, uid) != 0)
    return refused("become him");
  if (!keep_low_ports_alone()) return refused("keep the right to low ports");
  if (::setuid(0) == 0) return fail(Errc::storage, "--user: root's rights are still there");
  return {};
}

}  // namespace umbra::io
