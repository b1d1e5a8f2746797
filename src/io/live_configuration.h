#pragma once

#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "console/configurator.h"
#include "io/site.h"
#include "io/storage_places.h"

namespace umbra::io {

/// Where a trustpoint wrote that writes there no more.
struct LeftPlaces {
  std::string name;
  std::string pem;     ///< empty = it goes on there, or never did
  std::string pkcs12;  ///< the same
  client::IsOurs made;
  std::string zeroized_by;  ///< the label, where that is to be advised
};

/// The configuration in force as text and model: how it is changed while it is in force, read anew
/// from its file, and written to it.
class LiveConfiguration final : public console::Configurator {
 public:
  /// In: `file` as it was read for the start. `own`: where no trustpoint may write. `refuse` is
  /// told at each reload which places cannot be their trustpoints' as the host is now.
  LiveConfiguration(Site& site, Log& log, boost::asio::thread_pool& life, std::string path,
                    std::string file, OwnPlaces own = {},
                    std::function<void(std::vector<RefusedPlace>)> refuse = {});

  void edit(console::Edit edit, std::function<void(console::EditResult)> done) override;
  void left(const std::string& by) override;
  [[nodiscard]] std::string running() const override;
  [[nodiscard]] Result<std::string> startup() const override;
  [[nodiscard]] Result<std::string> differences() const override;
  void save(std::string by, std::function<void(Result<std::string>)> done) override;
  void reload(std::string by, std::function<void(Result<std::string>)> done) override;

 private:
  [[nodiscard]] console::EditResult carry_out(const console::Edit& edit);
  [[nodiscard]] Result<std::string> write(const std::string& by);
  [[nodiscard]] Result<std::string> read_again(const std::string& by);
  /// What is found of the places that are new since `before`, or of all; nothing where one does not
  /// answer, which is said.
  [[nodiscard]] std::optional<Misplaced> look_at_places(
      const std::shared_ptr<const config::Parsed>& parsed,
      const std::shared_ptr<const config::Parsed>& before);
  /// After the change.
  [[nodiscard]] std::vector<std::string> keys_left_behind(std::vector<LeftPlaces> left) const;
  void log(Severity severity, std::string_view mnemonic, std::string text,
           std::string_view facility = "UMBRA") const {
    log_.event({severity, mnemonic, std::move(text), facility});
  }

  Site& site_;
  Log& log_;
  /// One change after another.
  boost::asio::strand<boost::asio::thread_pool::executor_type> queue_;
  const std::string path_;
  std::string file_;  ///< as it was last read or written; the queue's
  const OwnPlaces own_;
  const std::function<void(std::vector<RefusedPlace>)> refuse_;
};

}  // namespace umbra::io
