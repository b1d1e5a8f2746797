#include "io/verify_store.h"

#include <algorithm>
#include <thread>

#include "io/files.h"
#include "io/privacy.h"
#include "store/examiner.h"

namespace umbra::io {

Result<verify::Report> verify_store(const std::string& data_directory,
                                    const std::string& passphrase_file) {
  keep_memory_private();
  verify::Options options;
  options.threads = std::max(1U, std::thread::hardware_concurrency());
  UMBRA_TRY(auto secret, kept_passphrase(data_directory, passphrase_file));
  if (secret) options.passphrase = std::move(secret->text);
  const auto quiet = DirectoryLock::keep_out(data_directory);
  UMBRA_TRY(const auto examiner,
            store::Examiner::open(data_directory + "/umbra.db", quiet == nullptr));
  auto report = verify::verify(*examiner, options);
  if (options.passphrase) wipe(*options.passphrase);
  return report;
}

}  // namespace umbra::io
