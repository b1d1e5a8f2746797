#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "process.h"

/// Just as much of an HTTP client as a load needs: it shares the processors with what it measures.
namespace umbra::bench {

[[nodiscard]] std::string get(const std::string& target);
[[nodiscard]] std::string post(const std::string& target, ByteView body);

struct Answer {
  unsigned status = 0;
  std::optional<int> retry_after;
  std::string body;
};
/// The answer at the beginning of what has been received, with Content-Length or in chunks; nothing
/// while it is not there whole.
[[nodiscard]] std::optional<Answer> answer_in(const std::string& received);

/// One exchange on a connection of its own. Stops the program unless it is answered with 200.
[[nodiscard]] std::string ask(std::uint16_t port, const std::string& request);
[[nodiscard]] bool answers(std::uint16_t port, const std::string& target);

struct Load {
  std::vector<std::string> replies;  ///< in the order of the requests; bodies
  std::vector<double> latencies_ms;  ///< so too
  double seconds = 0;
  double load_cpu = 0;  ///< seconds that this program used itself
  std::size_t failed = 0;
  [[nodiscard]] double per_second() const {
    return static_cast<double>(latencies_ms.size() - failed) / seconds;
  }
  [[nodiscard]] double percentile_ms(double share) const;
};
/// Each of these requests once, over so many connections that are kept open; on one thread. An
/// answer that is not 200 counts as failed, and is an empty reply.
[[nodiscard]] Load send_each(std::uint16_t port, std::span<const std::string> requests,
                             unsigned connections);
/// The same request again and again; every answer must be the same.
[[nodiscard]] Load repeat(std::uint16_t port, const std::string& request, unsigned connections,
                          double seconds);

[[nodiscard]] double percentile(std::vector<double> values, double share);
[[nodiscard]] inline double median(std::vector<double> values) {
  return percentile(std::move(values), 0.5);
}

}  // namespace umbra::bench
