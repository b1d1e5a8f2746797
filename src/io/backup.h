#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"

/// A data directory in one file, under a passphrase of its own, and back.
///
/// What is sealed (x509/sealed_stream.h) is entry after entry: a kind, the length of the name in
/// two octets, the name, the size in eight octets, the content; integers are big-endian. The last
/// entry is of kind `end`, and its size is how many went before.
namespace umbra::io {

enum class EntryKind : char {
  database = 'D',       ///< umbra.db, as it was at one moment
  file = 'F',           ///< another file of the data directory, by its path in it
  configuration = 'C',  ///< what umbrad was started with
  end = 'E',
};

struct BackupCommand {
  std::string data_directory;
  std::string configuration;  ///< umbrad's file; empty = not kept
  std::string to;
  std::string passphrase_file;  ///< the backup's: its first line
};
/// While umbrad runs or not. `to` is a new file with mode 0600, whole on the disk or not there at
/// all. Out: what to tell. Errors: conflict if `to` is there; storage, malformed.
[[nodiscard]] Result<std::string> backup(const BackupCommand& command);

struct RestoreCommand {
  std::string from;
  std::string data_directory;  ///< missing or empty
  std::string configuration;   ///< where it goes; empty = DATA/restored.conf
  std::string passphrase_file;
  std::string seal_file;          ///< umbrad's --passphrase-file, if it is not in the directory
  std::vector<std::string> crls;  ///< published after the backup was taken
  bool unsound = false;           ///< even if `umbra verify` finds errors
};
/// All of it, verified, or nothing: until then umbrad finds no database there. Out: what to tell.
/// Errors: conflict if anything is there already, or what was restored is not sound; crypto (wrong
/// passphrase, a file that was changed), storage.
[[nodiscard]] Result<std::string> restore(const RestoreCommand& command, Random& random, Time now);

/// In a data directory that a restore has not finished.
inline constexpr const char* restoring_directory = ".restoring";

/// A passphrase that guards a backup. Errors: malformed if it is too short to.
[[nodiscard]] Result<std::string> backup_passphrase(const std::string& file);

}  // namespace umbra::io
