#include "io/console_door.h"

#include <fmt/format.h>
#include <grp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>

namespace umbra::io {
namespace {

namespace asio = boost::asio;
using console::Privilege;

std::optional<gid_t> group_named(const char* name) {
  group found{};
  group* result = nullptr;
  std::vector<char> room(std::size_t{64} << 10U);
  if (::getgrnam_r(name, &found, room.data(), room.size(), &result) != 0 || !result)
    return std::nullopt;
  return result->gr_gid;
}

const char* ask_of(console::Ask ask) {
  switch (ask) {
    case console::Ask::nothing:
      return "";
    case console::Ask::line:
      return "line";
    case console::Ask::text:
      return "text";
    case console::Ask::lines:
      return "lines";
  }
  return "";
}

}  // namespace

ConsoleGroups console_groups() { return {group_named("umbra"), group_named("umbra-view")}; }

Privilege privilege_of(const Peer& peer, uid_t own, const ConsoleGroups& groups) {
  const auto belongs = [&](const std::optional<gid_t>& group) {
    return group && (peer.gid == *group || std::find(peer.groups.begin(), peer.groups.end(),
                                                     *group) != peer.groups.end());
  };
  if (peer.uid == 0 || peer.uid == own || belongs(groups.full)) return Privilege::full;
  return belongs(groups.view) ? Privilege::view : Privilege::none;
}

class ConsoleDoor::Seat final : public ExecSession {
 public:
  Seat(Strand strand, std::shared_ptr<console::Session> session, std::function<void()> done)
      : strand_(std::move(strand)), session_(std::move(session)), done_(std::move(done)) {
    // The log is locked when this is called: nothing may end there that listens to it.
    session_->wake_by([strand = strand_, weak = std::weak_ptr(session_)] {
      asio::post(strand, [weak] {
        if (const auto awake = weak.lock()) awake->deliver();
      });
    });
  }

  void ask(ExecRequest request, std::function<void(ExecReply)> done) override {
    asio::post(strand_, [session = session_, changed = done_, request = std::move(request),
                         done = std::move(done)] {
      const auto answer = [session, changed, what = request.what,
                           done](const console::ExecResult& result) {
        ExecReply reply{result.ok, result.output, ask_of(result.ask)};
        if (what != ExecRequest::What::exec) {
          reply.prompt = session->prompt();
          reply.over = session->over();
          reply.length = session->length();
        }
        done(std::move(reply));
        changed();
      };
      switch (request.what) {
        case ExecRequest::What::exec:
          return session->execute(request.line, request.input, answer);
        case ExecRequest::What::say:
          return session->say(request.line, request.input, answer);
        case ExecRequest::What::help:
          return answer({true, session->help(request.line)});
        case ExecRequest::What::complete:
          return answer({true, session->completion(request.line)});
      }
    });
  }

  void log_lines(std::function<void(std::vector<std::string>)> done) override {
    asio::post(strand_, [session = session_, done = std::move(done)]() mutable {
      session->log_lines(std::move(done));
    });
  }

 private:
  Strand strand_;
  std::shared_ptr<console::Session> session_;
  std::function<void()> done_;
};

ConsoleDoor::ConsoleDoor(asio::thread_pool& pool, console::Session::Source source,
                         std::function<void()> done)
    : strand_(pool.get_executor()), source_(std::move(source)), done_(std::move(done)) {}

Result<std::shared_ptr<ExecSession>> ConsoleDoor::open(const Peer& peer) {
  const Privilege privilege = privilege_of(peer, ::geteuid(), console_groups());
  const std::string name = name_of(peer);
  if (privilege == Privilege::none) {
    return fail(Errc::conflict,
                fmt::format("% {} may not use this console: root, umbrad's own user and the group "
                            "umbra may, and the group umbra-view may look\n",
                            name));
  }
  auto session =
      std::make_shared<console::Session>(source_, privilege, fmt::format("console by {}", name));
  const std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [](const auto& one) { return one.expired(); });
  sessions_.push_back(session);
  return std::shared_ptr<ExecSession>(std::make_shared<Seat>(strand_, session, done_));
}

void ConsoleDoor::close() {
  const std::lock_guard lock(mutex_);
  for (const auto& one : sessions_)
    if (const auto session = one.lock()) session->close();
}

}  // namespace umbra::io
