#include "console/monitor.h"

#include <fmt/format.h>

#include <algorithm>

namespace umbra::console {

std::string_view to_string(DebugTopic topic) {
  switch (topic) {
    case DebugTopic::messages:
      return "messages";
    case DebugTopic::transactions:
      return "transactions";
    case DebugTopic::server:
      return "server";
    case DebugTopic::scep:
      return "scep";
  }
  return "";
}

DebugTopic topic_of(std::string_view category) {
  if (category.ends_with("/messages")) return DebugTopic::messages;
  if (category == "CRYPTO_CS") return DebugTopic::server;
  if (category == "CRYPTO_PKI_SCEP") return DebugTopic::scep;
  return DebugTopic::transactions;
}

void Monitor::add(std::string line) {
  const std::lock_guard lock(mutex_);
  ++logged_;
  for (Subscription* const one : subscriptions_) {
    const bool was_empty = one->waiting_.empty() && one->lost_ == 0;
    if (one->waiting_.size() >= waiting_max) {
      one->waiting_.pop_front();
      ++one->lost_;
    }
    one->waiting_.push_back(line);
    if (was_empty && one->ready_) one->ready_();
  }
  octets_ += line.size() + 1;
  lines_.push_back(std::move(line));
  while (octets_ > octets_max && lines_.size() > 1) {
    octets_ -= lines_.front().size() + 1;
    lines_.pop_front();
    ++dropped_;
  }
}

Monitor::Kept Monitor::kept() const {
  const std::lock_guard lock(mutex_);
  return {{lines_.begin(), lines_.end()}, logged_, dropped_, monitored_, subscriptions_.size()};
}

std::unique_ptr<Monitor::Subscription> Monitor::subscribe(std::function<void()> ready) {
  std::unique_ptr<Subscription> made(new Subscription(shared_from_this(), std::move(ready)));
  const std::lock_guard lock(mutex_);
  subscriptions_.push_back(made.get());
  return made;
}

Monitor::Subscription::~Subscription() {
  const std::lock_guard lock(monitor_->mutex_);
  std::erase(monitor_->subscriptions_, this);
}

std::vector<std::string> Monitor::Subscription::take() {
  const std::lock_guard lock(monitor_->mutex_);
  std::vector<std::string> out;
  if (lost_ > 0) out.push_back(fmt::format("% {} lines of the log were lost here", lost_));
  lost_ = 0;
  out.insert(out.end(), std::make_move_iterator(waiting_.begin()),
             std::make_move_iterator(waiting_.end()));
  waiting_.clear();
  monitor_->monitored_ += out.size();
  return out;
}

std::string logging_screen(const Monitor::Kept& kept) {
  std::string out = fmt::format(
      "Syslog logging: enabled ({} messages dropped from the buffer)\n"
      "    Console logging: level debugging, {} messages logged\n"
      "    Monitor logging: level debugging, {} messages logged\n"
      "        {} sessions\n"
      "    Buffer logging:  level debugging, {} messages logged\n\n"
      "Log Buffer ({} bytes):\n\n",
      kept.dropped, kept.logged, kept.monitored, kept.sessions, kept.logged, Monitor::octets_max);
  for (const std::string& line : kept.lines) out += line + "\n";
  return out;
}

std::string debugging_screen(const Monitor& monitor) {
  std::string out;
  for (const DebugTopic topic : debug_topics) {
    if (!monitor.debugs(topic)) continue;
    std::string name(to_string(topic));
    name.front() = static_cast<char>(name.front() - ('a' - 'A'));
    out += fmt::format("  Crypto PKI {} debugging is on\n", name);
  }
  return out.empty() ? out : "PKI:\n" + out;
}

}  // namespace umbra::console
