#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "io/outlet.h"

namespace umbra::io {

/// The files that umbrad has of its own; empty where one is not known.
struct OwnPlaces {
  std::string data_directory;
  std::string config_file;
  std::string passphrase_file;
  std::string socket;
};

struct Misplaced {
  /// A place within umbrad's own, or of a file that one of its certificate servers publishes to
  /// unix:/DIR: to write there would end what is there.
  std::vector<config::Fault> own;
  /// A file where a directory is wanted, or another trustpoint's place by another name: nothing is
  /// written there as long as it is so, and that can have become so since.
  std::vector<config::Fault> unusable;
  /// Whose they are.
  std::vector<RefusedPlace> refused;
  /// Both, by line.
  [[nodiscard]] std::vector<config::Fault> all() const;
};

/// What only the host knows of the places that trustpoints are to write to.
/// In: `before`: what is configured there stays unquestioned, so that a host that has changed since
/// forbids no other change.
[[nodiscard]] Misplaced misplaced(const config::Parsed& parsed, const OwnPlaces& own,
                                  const config::Configuration* before = nullptr);

/// What a file server that is down may hold up a start or a change.
inline constexpr std::chrono::seconds places_answer_within{5};
inline constexpr const char* places_do_not_answer =
    "a place that \"storage\" names does not answer: it was not looked at whether all of them can "
    "be written to";

/// The same, or nothing where a file server does not answer in time.
[[nodiscard]] std::optional<Misplaced> misplaced_within(
    std::chrono::milliseconds limit, std::shared_ptr<const config::Parsed> parsed,
    const OwnPlaces& own, std::shared_ptr<const config::Parsed> before = nullptr);

}  // namespace umbra::io
