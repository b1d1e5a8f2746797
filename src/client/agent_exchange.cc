#include <fmt/format.h>

#include "client/agent.h"

namespace umbra::client {
namespace {

using lifecycle::Phase;
using EventKind = lifecycle::TrustpointEventKind;

// More than any chain of certificates; transports bound replies too, each in its own way.
constexpr std::size_t body_max = std::size_t{256} * 1024;
// Keywords are a few hundred octets (RFC 8894 3.5.2).
constexpr std::size_t capabilities_max = 4096;

bool path_is_missing(const HttpReply& reply) { return reply.status == 404 || reply.status == 405; }

Result<HttpReply> usable(Result<HttpReply> reply) {
  if (!reply) return reply;
  if (reply->status != 200)
    return fail(Errc::unreachable, fmt::format("HTTP status {}", reply->status));
  if (reply->body.empty()) return fail(Errc::unreachable, "empty answer");
  if (reply->body.size() > body_max) return fail(Errc::unreachable, "answer too long");
  return reply;
}

std::string media_type(const HttpReply& reply) {
  std::string type = reply.content_type.substr(0, reply.content_type.find(';'));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  return type;
}

}  // namespace

std::string Trustpoint::Agent::url() const {
  return scep::request_url(configuration_.enrollment_url, exact_url_);
}

HttpCall Trustpoint::Agent::get(scep::Operation operation) const {
  HttpCall call;
  // The trustpoint's name is the CA identifier, as IOS sends it.
  call.url = scep::operation_url(url(), operation, configuration_.name);
  return call;
}

void Trustpoint::Agent::send(HttpCall call, Answered answered) {
  if (configuration_.enrollment_url.empty())
    return answered(*this, fail(Errc::conflict, "no enrollment url is configured"));
  const std::string tried = url();
  const std::string other = scep::request_url(configuration_.enrollment_url, !exact_url_);
  std::optional<HttpCall> again;
  const auto host = configuration_.enrollment_url.find("://");
  const bool has_path = host != std::string::npos &&
                        configuration_.enrollment_url.find('/', host + 3) != std::string::npos;
  if (has_path && other != tried) {
    again = call;
    again->url.replace(0, tried.size(), other);
  }
  const auto deliver = [weak = weak_from_this()](auto task) {
    if (const auto self = weak.lock()) self->post(std::move(task));
  };
  environment_.transport.send(std::move(call), [deliver, again = std::move(again),
                                                answered](const Result<HttpReply>& reply) {
    deliver([deliver, again, answered, reply](Agent& agent) {
      if (!reply)
        agent.log(Severity::error, "SOCKETSEND", "Failed to send out message to CA server.");
      if (!reply || !path_is_missing(*reply) || !again) return answered(agent, reply);
      agent.environment_.transport.send(
          *again, [deliver, answered, first = reply](const Result<HttpReply>& second) {
            deliver([answered, first, second](Agent& later) {
              const bool found = second && !path_is_missing(*second);
              if (found) later.exact_url_ = !later.exact_url_;
              answered(later, found ? second : first);
            });
          });
    });
  });
}

void Trustpoint::Agent::send_newest(HttpCall call, Answered answered) {
  const auto number = ++newest_call_;
  send(std::move(call),
       [number, answered = std::move(answered)](Agent& agent, Result<HttpReply> reply) {
         if (number != agent.newest_call_) return;
         answered(agent, std::move(reply));
       });
}

void Trustpoint::Agent::fetch_ca(std::function<void(Result<x509::Certificate>)> done) {
  debug("Sending GetCACert request for trustpoint " + configuration_.name);
  send(get(scep::Operation::get_ca_cert),
       [done = std::move(done)](Agent& agent, Result<HttpReply> answer) {
         const auto reply = usable(std::move(answer));
         if (!reply) return done(tl::unexpected(reply.error()));
         const auto received = scep::parse_ca_cert(reply->body);
         if (!received) return done(tl::unexpected(received.error()));
         auto offer = choose_ca(*received);
         if (!offer) return done(tl::unexpected(offer.error()));
         const auto& pinned = agent.configuration_.fingerprint;
         if (!pinned.empty() && !has_fingerprint(offer->ca, pinned)) {
           agent.log(Severity::error, "FINGERPRINT",
                     "The CA certificate offered to trustpoint " + agent.configuration_.name +
                         " has not the configured fingerprint and is refused",
                     "UMBRA");
           return done(fail(Errc::crypto, "the CA certificate has not the configured fingerprint"));
         }
         agent.offer_ = *std::move(offer);
         done(agent.offer_->ca);
       });
}

void Trustpoint::Agent::accept_ca(const x509::Certificate& certificate,
                                  std::function<void(Result<void>)> done) {
  Offer offer{.ca = certificate, .ras = {}};
  if (offer_ && offer_->ca == certificate) offer = *offer_;
  if (auto accepted = accept(offer); !accepted) return done(std::move(accepted));
  fetch_capabilities(std::move(done));
}

void Trustpoint::Agent::fetch_and_accept_pinned() {
  if (asking_ca_) return;
  asking_ca_ = true;
  fetch_ca([weak = weak_from_this()](const Result<x509::Certificate>& ca) {
    const auto self = weak.lock();
    if (!self) return;
    self->asking_ca_ = false;
    if (!ca) return self->no_answer(ca.error());
    // Somebody may have authenticated it by hand in the meantime.
    if (self->state_.ca) return;
    self->accept_ca(*ca, [name = self.get()](const Result<void>& accepted) {
      if (!accepted) name->no_answer(accepted.error());
    });
  });
}

void Trustpoint::Agent::fetch_capabilities(std::function<void(Result<void>)> done) {
  asking_capabilities_ = true;
  publish_snapshot();
  debug("Sending GetCACaps request for trustpoint " + configuration_.name);
  send(get(scep::Operation::get_ca_caps),
       [done = std::move(done)](Agent& agent, const Result<HttpReply>& reply) {
         agent.asking_capabilities_ = false;
         if (!reply) {
           agent.hold(reply.error());
           return done({});
         }
         // An HTTP error means a CA that has none.
         auto row = agent.state_.row;
         row.capabilities_known = true;
         row.capabilities.clear();
         if (reply->status == 200)
           row.capabilities = as_text(reply->body).substr(0, capabilities_max);
         const auto stored = agent.commit(std::move(row));
         if (!stored) agent.hold(stored.error());
         done(stored);
         if (stored) agent.run_due();
       });
}

void Trustpoint::Agent::fetch_next_ca() {
  debug("Sending GetNextCACert request for trustpoint " + configuration_.name);
  send_newest(get(scep::Operation::get_next_ca_cert), [](Agent& agent, Result<HttpReply> answer) {
    const auto reply = usable(std::move(answer));
    if (!reply) {
      if (agent.settings_.is_ca && agent.state_.row.tries == 0) {
        agent.log(
            Severity::warning, "CS_UPPER_ROLLOVER",
            fmt::format("The upper CA of {} ends with it, and has no rollover certificate yet "
                        "({}); it is asked again until it has one. Its auto-rollover must "
                        "begin before that of {}",
                        agent.configuration_.name, reply.error().detail, agent.configuration_.name),
            "UMBRA");
      }
      return agent.on_no_answer(reply.error());
    }
    if (media_type(*reply) != scep::type_next_ca_cert)
      return agent.on_no_answer({Errc::malformed, "not a GetNextCACert answer"});
    const auto next = choose_next_ca(agent.state_, reply->body, agent.configuration_);
    if (!next) return agent.on_no_answer(next.error());
    const x509::Certificate& ca = next->ca;
    if (!agent.take({EventKind::next_ca_received, {ca.not_before(), ca.not_after()}},
                    {.certificate = ca, .ras = next->ras}))
      return;
    agent.log(Severity::informational, "SHADOW_CA",
              fmt::format("Rollover CA certificate {} received for trustpoint {}, valid from {}",
                          ca.serial().to_hex_octets(), agent.configuration_.name,
                          to_rfc3339(ca.not_before())),
              "UMBRA");
  });
}

void Trustpoint::Agent::exchange(Message message) {
  auto prepared = make_exchange(state_, message, configuration_, url(), environment_.random);
  if (!prepared) return on_no_answer(prepared.error());
  debug(prepared->type == scep::MessageType::cert_poll     ? "Client sending GetCertInitial"
        : prepared->type == scep::MessageType::renewal_req ? "Client sending RenewalReq"
                                                           : "Client sending PKCSReq");
  send_newest(std::move(prepared->call), [expected = std::move(prepared->expected),
                                          session = counted_session(environment_.counters)](
                                             Agent& agent, Result<HttpReply> answer) {
    const auto reply = usable(std::move(answer));
    if (!reply) return agent.on_no_answer(reply.error());
    const auto opened = open_answer(agent.state_, reply->body, expected, agent.configuration_);
    if (Counters* const counters = agent.environment_.counters)
      ++(opened ? counters->validated : counters->refused);
    if (!opened) return agent.on_no_answer(opened.error());
    agent.on_cert_rep(*opened);
  });
}

void Trustpoint::Agent::on_cert_rep(const scep::CertRep& reply) {
  switch (reply.status) {
    case scep::PkiStatus::success: {
      const auto granted = choose_granted(state_, reply.certificates, configuration_.role, now());
      if (!granted) return on_no_answer(granted.error());
      if (!(granted->subject() == state_.request->subject())) {
        log(Severity::notice, "SUBJECT",
            "The CA has changed the subject name of trustpoint " + configuration_.name + " to " +
                granted->subject().joined(),
            "UMBRA");
      }
      debug("status = 100: certificate is granted");
      take({EventKind::granted, {granted->not_before(), granted->not_after()}},
           {.certificate = *granted});
      return;
    }
    case scep::PkiStatus::pending:
      debug("status = 102: certificate request pending");
      take({EventKind::pending, {}});
      return;
    case scep::PkiStatus::failure:
      debug("status = 101: certificate request is rejected");
      if (reply.fail_info) debug(fmt::format("Fail Info={}", static_cast<int>(*reply.fail_info)));
      if (!reply.fail_info_text.empty()) debug(reply.fail_info_text);
      if ((settings_.is_ca || settings_.is_ra) && reply.fail_info == scep::FailInfo::bad_cert_id &&
          static_cast<Phase>(state_.row.phase) == Phase::polling) {
        log(Severity::notice, "CS_UPPER_FORGOT",
            fmt::format("The upper CA of {} knows its request no more; it is asked again",
                        configuration_.name),
            "UMBRA");
        take({EventKind::forgotten, {}});
        return;
      }
      take({EventKind::rejected, {}});
      log(Severity::informational, "CERTREJECT",
          "Certificate enrollment request was rejected by Certificate Authority for Trustpoint " +
              configuration_.name);
      return;
  }
}

void Trustpoint::Agent::no_answer(const Error& error) const {
  log(Severity::warning, "NO_ANSWER",
      "Trustpoint " + configuration_.name + ": no usable answer from the CA: " + error.detail,
      "UMBRA");
}

void Trustpoint::Agent::on_no_answer(const Error& error) {
  no_answer(error);
  const auto phase = static_cast<Phase>(state_.row.phase);
  if (state_.row.tries == 0 && (phase == Phase::requesting || phase == Phase::fetching_next_ca))
    log(Severity::informational, "AUTOCERTFAIL",
        "Certificate (re)enrollment failed. Delaying before retry");
  take({EventKind::no_answer, {}});
}

}  // namespace umbra::client
