#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace umbra::console {

/// What somebody wants changed in the running configuration.
struct Edit {
  std::string by;  ///< who, for the log: "console by alice"
  std::string
      section;  ///< the line that opens the submode the lines belong to; empty = global mode
  std::vector<std::string> lines;  ///< as typed: a command, `no` or `default` and a command
  /// Whoever types the lines has opened the section before: if it has been taken out meanwhile,
  /// they do not make it anew.
  bool section_was_there = false;
};

struct EditResult {
  bool ok = true;
  /// Why nothing was changed. Lines count from 1 in Edit::lines; 0 is none of them: `text` is then
  /// a line of the configuration that the change would have made wrong.
  std::vector<config::Fault> faults;
  /// What a session prints: why not, or what has to be said of what was done. Whole lines.
  std::string output;
};

/// The running configuration, as sessions of the console see and change it. A change is carried out
/// as a whole and at once, or not at all; several are carried out one after another. Thread-safe;
/// `done` is called once, from another thread.
class Configurator {
 public:
  virtual ~Configurator() = default;
  virtual void edit(Edit edit, std::function<void(EditResult)> done) = 0;
  /// A session leaves configuration mode.
  virtual void left(const std::string& by) = 0;

  /// Normalised, secrets in type 7.
  [[nodiscard]] virtual std::string running() const = 0;
  /// Changes to what the file says, which is read again; one with faults changes nothing. Out:
  /// what has changed, whole lines. Errors: storage; malformed; conflict.
  virtual void reload(std::string by, std::function<void(Result<std::string>)> done) = 0;
  /// The file that is read at the next start, as it stands, passwords as they are typed there.
  [[nodiscard]] virtual Result<std::string> startup() const = 0;
  /// From the file to what is running, as contextual_differences. Errors: storage; malformed (the
  /// file could not be started with).
  [[nodiscard]] virtual Result<std::string> differences() const = 0;
  /// `write memory`: the file becomes the running configuration; what was in it is kept beside it.
  /// Certificates are kept elsewhere, and are not written. Out: what has to be said of it, whole
  /// lines. Errors: storage.
  virtual void save(std::string by, std::function<void(Result<std::string>)> done) = 0;
};

}  // namespace umbra::console
