#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace umbra::io {

/// The files that umbrad has of its own; empty where one is not known.
struct OwnPlaces {
  std::string data_directory;
  std::string config_file;
  std::string passphrase_file;
  std::string socket;
};

/// What only the host knows of the places that trustpoints are to write to: that one is within
/// umbrad's own, or is a file where a directory is wanted, or another trustpoint's by another name.
/// In: `before`: what is configured there stays unquestioned, so that a host that has changed since
/// forbids no other change.
[[nodiscard]] std::vector<config::Fault> misplaced(const config::Parsed& parsed,
                                                   const OwnPlaces& own,
                                                   const config::Configuration* before = nullptr);

}  // namespace umbra::io
