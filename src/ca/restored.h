#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "store/store.h"

/// A store that comes back from a backup does not know what was issued and revoked after it was
/// taken.
namespace umbra::ca {

struct Skipped {
  std::string server;
  std::uint64_t serials_from = 0;  ///< the first one that may be used now
  std::uint64_t crl_number = 0;    ///< the next CRL's, at least
};

/// No number that may have been used since is used again. Counted serials go on at a place drawn by
/// chance, at least 2^40 above the highest that is known: beyond everything a server can have
/// issued since, and, of two restores of one backup, each at another. CRL numbers go on at 1024
/// times the seconds since 1970: above those of every server that made fewer CRLs than that in a
/// second, and above those of a restore before this one. Every active CA makes a new CRL when its
/// server starts. Serials drawn by chance need none of it. Errors: storage; conflict where no
/// numbers are left.
[[nodiscard]] Result<std::vector<Skipped>> skip_used_numbers(store::Store& store, Random& random,
                                                             Time now);

struct TakenCrl {
  std::string server;
  std::uint32_t generation = 1;
  std::uint64_t number = 0;
  std::size_t revoked = 0;  ///< that the store had as good
  std::size_t unknown = 0;  ///< that it had never heard of: kept by their numbers, revoked for good
  std::size_t restored = 0;  ///< whose revocation was taken back since
  bool older = false;        ///< it says nothing new, and nothing was taken
};
/// A CRL that was published after the backup was taken. Errors: crypto if none of the CAs in the
/// store has signed it; malformed, unsupported (a part of a CRL), storage.
[[nodiscard]] Result<TakenCrl> take_newer_crl(store::Store& store, ByteView crl, Time now);

}  // namespace umbra::ca
