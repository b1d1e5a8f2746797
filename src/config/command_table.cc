#include "config/command_table.h"

#include "config/settings.h"

namespace umbra::config {
namespace {

constexpr Command table[] = {
    // -- global -------------------------------------------------------------------------------
    {Mode::global, "hostname", "hostname NAME:word",
     "The name of this system: first part of the FQDN in client subjects|Its name",
     "hostname Router", &set::hostname},
    {Mode::global, "clock timezone",
     "clock timezone ZONE:word HOURS-OFFSET:-23-23 [MINUTES-OFFSET:0-59]",
     "The clock|The zone that times are shown in; certificates and CRLs are always UTC|Its "
     "name|Hours ahead of UTC|Minutes on top",
     "[UTC]", &set::clock_timezone},
    {Mode::global, "clock summer-time",
     "clock summer-time ZONE:word {recurring [RULE:line]|date RULE:line}",
     "The clock|Summer time on screens|Its name|Every year|From when to when|Once|From when to "
     "when",
     "[off]"},
    {Mode::global, "clock calendar-valid", "clock calendar-valid",
     "The clock|The hardware calendar is right: PKI timers may start without NTP", "[off]",
     &set::calendar_valid},
    {Mode::global, "clock set", "clock set TIME:word DATE:line",
     "The clock|Sets it (on the router's console)|HH:MM:SS|Day, month and year", "[an action]",
     nullptr, Command::action},
    {Mode::global, "ip domain name", "ip domain name NAME:word",
     "The Internet Protocol|Names|The domain|Second part of the FQDN in client subjects", "[none]",
     &set::domain_name},
    {Mode::global, "ip domain name", "ip domain-name NAME:word",
     "The Internet Protocol|The domain, older spelling|Second part of the FQDN in client subjects",
     "[none]", &set::domain_name},
    {Mode::global, "crypto key generate", "crypto key generate rsa [OPTIONS:line]",
     "Encryption|Keys|Makes a key pair|RSA|general-keys, usage-keys, label L, exportable, modulus "
     "N",
     "[an action]", nullptr, Command::action},
    {Mode::global, "crypto key zeroize", "crypto key zeroize rsa [LABEL:word]",
     "Encryption|Keys|Deletes a key pair|RSA|Its label", "[an action]", nullptr, Command::action},
    {Mode::global, "crypto pki authenticate", "crypto {pki|ca} authenticate NAME:word",
     "Encryption|Certificates|Certificates, older spelling|Fetches and accepts a CA "
     "certificate|The trustpoint",
     "[an action]", nullptr, Command::action},
    {Mode::global, "crypto pki enroll", "crypto {pki|ca} enroll NAME:word",
     "Encryption|Certificates|Certificates, older spelling|Asks for a certificate|The trustpoint",
     "[an action]", nullptr, Command::action},
    {Mode::global, "crypto pki server NAME rollover",
     "crypto pki server NAME:word rollover [cancel]",
     "Encryption|Certificates|A certificate server|Its name|Makes the rollover CA certificate "
     "now|Takes it back",
     "[an action]", nullptr, Command::action},
    {Mode::global, "crypto pki server", "crypto pki server NAME:word",
     "Encryption|Certificates|A certificate server|Its name", "[none]", nullptr, Command::opens,
     Mode::server},
    {Mode::global, "crypto pki trustpoint", "crypto {pki|ca} trustpoint NAME:word",
     "Encryption|Certificates|Certificates, older spelling|A trustpoint: a CA that is trusted, and "
     "the identity it gave|Its name",
     "[none]", nullptr, Command::opens, Mode::trustpoint},
    {Mode::global, "crypto pki profile enrollment", "crypto {pki|ca} profile enrollment NAME:word",
     "Encryption|Certificates|Certificates, older spelling|Profiles|How trustpoints authenticate "
     "their CA and enrol|Its name",
     "[none]", nullptr, Command::opens, Mode::profile},
    {Mode::global, "crypto pki certificate chain", "crypto {pki|ca} certificate chain NAME:word",
     "Encryption|Certificates|Certificates, older spelling|Certificates as text|Of one "
     "trustpoint|The trustpoint",
     "[none]", nullptr, Command::opens, Mode::chain},
    {Mode::global, "ip http address", "ip http address ADDRESS:ip",
     "The Internet Protocol|The HTTP server|Umbra's: the one address it listens on|IPv4 address",
     "[all addresses]", &set::http_address},
    {Mode::global, "ip http server", "ip http server",
     "The Internet Protocol|The HTTP server|Serves SCEP; a certificate server needs it", "[off]",
     &set::http_server},
    {Mode::global, "ip http port", "ip http port PORT:1-65535",
     "The Internet Protocol|The HTTP server|The TCP port|80, or 1024-65535", "ip http port 80",
     &set::http_port},
    {Mode::global, "ip http rate-limit",
     "ip http rate-limit PER-SECOND:1-100000 [burst REQUESTS:1-1000000]",
     "The Internet Protocol|The HTTP server|Umbra's: what one address may ask; beyond, the answer "
     "is "
     "429|Requests a second|So many at once on top; ten times as many without it|How many",
     "ip http rate-limit 2000 burst 20000", &set::http_rate_limit},
    {Mode::global, "ip http max-wait", "ip http max-wait MILLISECONDS:50-60000",
     "The Internet Protocol|The HTTP server|Umbra's: how long a request may have to wait for its "
     "turn before others are answered 503 with Retry-After|Milliseconds",
     "ip http max-wait 2000", &set::http_max_wait},
    {Mode::global, "ntp server", "ntp server ADDRESS:word [OPTIONS:line]",
     "The Network Time Protocol|A server to synchronise with (the operating system does "
     "that)|Name or address|prefer, key N, version N ...",
     "[none]", nullptr, Command::many},
    {Mode::global, "ntp master", "ntp master [STRATUM:1-15]",
     "The Network Time Protocol|This system is a source of time|Its stratum", "[off]"},
    {Mode::global, "terminal exec prompt timestamp", "terminal exec prompt timestamp",
     "The terminal|Exec commands|The prompt|The clock above each screen", "[an action]", nullptr,
     Command::passed},
    {Mode::global, "configure", "configure [terminal]",
     "Starts a configuration session|From the terminal", "[let pass]", nullptr, Command::passed},
    {Mode::global, "enable", "enable", "Turns on privileged commands", "[let pass]", nullptr,
     Command::passed},
    {Mode::global, "write", "write [memory]", "Saves the configuration|To memory", "[let pass]",
     nullptr, Command::passed},

    // -- crypto pki server --------------------------------------------------------------------
    {Mode::server, "serial-number", "serial-number {random|NUMBER:word}",
     "The serial numbers of certificates; a number before the CA certificate exists|Umbra's: drawn "
     "by chance, not counted|The last one used: decimal, or hexadecimal behind 0x",
     "[counted by the database, from 1]", &set::serial_start},
    {Mode::server, "database level", "database level {minimum|names|complete}",
     "The server's files|What is written of each certificate (Umbra keeps all of it in its own "
     "database besides)|Nothing|SERIAL.cnm: its subject and its end|SERIAL.cnm and SERIAL.crt: the "
     "certificate",
     "database level minimum", &set::database_level},
    {Mode::server, "database archive",
     "database archive {pkcs12|pem} [password [0|7] PASSWORD:secret]",
     "The server's files|The copy of CA key and certificate|As PKCS #12|As PEM|The password that "
     "seals it|In the clear|Type 7|The password",
     "database archive pkcs12", &set::database_archive},
    {Mode::server, "issuer-name", "issuer-name DN:dn",
     "Subject and issuer of the CA certificate|CN=..,OU=..,O=..", "[CN=NAME]", &set::issuer_name},
    {Mode::server, "grant", "grant auto",
     "Which requests are granted|All, at once; with a challenge password, those that know it",
     "[manual: each waits for an operator]", &set::grant_auto},
    {Mode::server, "grant", "grant none", "Which requests are granted|None: all are refused",
     "[manual]", &set::grant_none},
    {Mode::server, "grant", "grant ra-auto",
     "Which requests are granted|What a registration authority signed that this server made one; "
     "the rest waits",
     "[manual]", &set::grant_ra_auto},
    {Mode::server, "grant", "grant auto trustpoint NAME:word",
     "Which requests are granted|At once|What a valid certificate of this trustpoint's CA signed; "
     "the rest waits|The trustpoint, not the server's own",
     "[manual]", &set::grant_trustpoints},
    {Mode::server, "grant", "grant auto tp-list NAME:word...",
     "Which requests are granted|At once|What a valid certificate of these trustpoints' CAs "
     "signed; the rest waits|The trustpoints, up to 5",
     "[manual]", &set::grant_trustpoints},
    {Mode::server, "grant auto rollover", "grant auto rollover {ca-cert|ra-cert}",
     "Which requests are granted|At once|Rollover requests|Of subordinate CAs|Of registration "
     "authorities",
     "[off]", &set::grant_rollover, Command::per_keyword},
    {Mode::server, "hash", "hash {md5|sha1|sha256|sha384|sha512}",
     "The digest of signatures|Needs `allow legacy md5`|Refused by most software "
     "today|SHA-256|SHA-384|SHA-512",
     "hash sha256", &set::hash},
    {Mode::server, "modulus", "modulus BITS:360-4096",
     "Umbra's: size of the CA key|2048-4096; 1024 and more with `allow legacy rsa-1024`",
     "modulus 2048", &set::modulus},
    {Mode::server, "keytype", "keytype ec {256|384}",
     "Umbra's: kind of the CA key, in place of RSA|Elliptic curve; SCEP speaks through an RSA "
     "certificate that the CA issues to itself|P-256|P-384; signs with SHA-384 unless `hash` says "
     "otherwise",
     "[RSA, of `modulus` bits]", &set::keytype},
    {Mode::server, "lifetime crl", "lifetime crl HOURS:0-336 [MINUTES:0-59]",
     "How long things hold|CRLs|Hours|Minutes", "lifetime crl 6", &set::lifetime_crl},
    {Mode::server, "lifetime certificate",
     "lifetime certificate DAYS:0-7305 [HOURS:0-23 [MINUTES:0-59]]",
     "How long things hold|Issued certificates; none outlives its CA|Days|Hours|Minutes",
     "lifetime certificate 365", &set::lifetime_certificate},
    {Mode::server, "lifetime ca-certificate",
     "lifetime ca-certificate DAYS:0-7305 [HOURS:0-23 [MINUTES:0-59]]",
     "How long things hold|The CA certificate and each that follows it|Days|Hours|Minutes",
     "lifetime ca-certificate 1095", &set::lifetime_ca_certificate},
    {Mode::server, "lifetime subordinate-ca",
     "lifetime subordinate-ca DAYS:0-7305 [HOURS:0-23 [MINUTES:0-59]]",
     "How long things hold|Umbra's: certificates of subordinate CAs; none outlives its "
     "CA|Days|Hours|Minutes",
     "[as lifetime certificate]", &set::lifetime_subordinate_ca},
    {Mode::server, "lifetime enrollment-request",
     "lifetime enrollment-request HOURS:0-1000 [MINUTES:0-59]",
     "How long things hold|Requests that nobody decided on|Hours|Minutes",
     "lifetime enrollment-request 168", &set::lifetime_enrollment_request},
    {Mode::server, "renewal grace", "renewal grace DAYS:0-3650",
     "Umbra's: renewals that come too late|How long after its end, or its CA's, a certificate may "
     "still sign its renewal|Days",
     "renewal grace 0", &set::renewal_grace},
    {Mode::server, "cdp-url", "cdp-url URL:url",
     "Where clients find the CRL: put into certificates issued from now on|http:// or ldap://",
     "[none]", &set::cdp_url},
    {Mode::server, "auto-rollover", "auto-rollover [DAYS:0-1825 [HOURS:0-23 [MINUTES:0-59]]]",
     "Makes the next CA certificate this long before the active one ends; 30 days if nothing "
     "follows|Days|Hours|Minutes",
     "[off]", &set::auto_rollover},
    {Mode::server, "eku",
     "eku {server-auth|client-auth|code-signing|email-protection|ipsec-end-system|ipsec-tunnel|"
     "ipsec-user|ocsp-signing|time-stamping}...",
     "Extended key usage of issued certificates|TLS servers|TLS clients|Code|Mail|IPsec end "
     "systems|IPsec tunnels|IPsec users|OCSP responders|Time stamps",
     "[none]", &set::eku},
    {Mode::server, "subject-alt-name", "subject-alt-name {copy|none}",
     "Umbra's: other names in issued certificates|The request's, where every reader reads them "
     "alike|Left out",
     "subject-alt-name copy", &set::subject_alt_names},
    {Mode::server, "database url",
     "database url URL:url [username USER:word] [password [0|7] PASSWORD:secret]",
     "The server's files|Where they are published; the daemon keeps its own database "
     "besides|nvram: and other devices (folders of the data directory), unix:/DIRECTORY, ftp, "
     "sftp, "
     "scp, tftp, http or https://HOST/DIRECTORY|The account there|Its "
     "name|Its password|In the clear|Type 7|The password",
     "database url nvram:", &set::database_url},
    {Mode::server, "database url TYPE",
     "database url {cnm|crl|crt|p12|pem|ser} [publish] URL:url [username USER:word] "
     "[password [0|7] PASSWORD:secret]",
     "The server's files|Where they are published|Names|CRLs|Certificates|Archives as PKCS "
     "#12|Archives as PEM|Serial numbers|An extra copy for readers, of cnm, crl or crt|As "
     "above|The "
     "account there|Its name|Its password|In the clear|Type 7|The password",
     "[as `database url`]", &set::database_url_of, Command::per_keyword},
    {Mode::server, "database username",
     "database username USER:word [password [0|7] PASSWORD:secret]",
     "The server's files|The account for places above that name none|Its name|Its password|In the "
     "clear|Type 7|The password",
     "[none]", &set::database_username},
    {Mode::server, "database strict", "database strict",
     "The server's files|Umbra's: as on IOS, nothing is issued while they cannot be written",
     "[off: they are sent when their place can be reached again]", &set::database_strict},
    {Mode::server, "mode", "mode {sub-cs|ra [transparent]}",
     "What the server is; its trustpoint, which has its name, says where the upper CA is|A "
     "subordinate CA|A registration authority: judges requests, and asks the CA above for what it "
     "grants|Passes everything on as it comes",
     "[a root CA]", &set::mode},
    {Mode::server, "redundancy", "redundancy", "One of a pair that shares its state", "[off]"},
    {Mode::server, "challenge password", "challenge password [0|7] PASSWORD:secret-line",
     "Umbra's: what a first enrolment must know|A static challenge password|In the clear|Type "
     "7|The "
     "password",
     "[none]", &set::challenge_password},
    {Mode::server, "allow legacy", "allow legacy {des|md5|rsa-1024}",
     "Umbra's: what is taken in|What is unsafe today|Single DES|MD5|RSA keys of 1024 bits",
     "[refused]", &set::allow_legacy, Command::per_keyword},
    {Mode::server, "allow sha1", "allow sha1",
     "Umbra's: what is taken in|SHA-1 as digest of messages and requests, which old clients need",
     "allow sha1", &set::allow_sha1, Command::default_on},
    {Mode::server, "shutdown", "shutdown", "Stops the server; `no shutdown` starts it", "shutdown",
     &set::shutdown, Command::default_on},
    {Mode::server, "show", "show", "Shows these settings (on the console)", "[let pass]", nullptr,
     Command::passed},

    // -- crypto pki trustpoint ----------------------------------------------------------------
    {Mode::trustpoint, "enrollment mode", "enrollment mode ra",
     "How certificates are asked for|The peer's kind|A registration authority: a CA without one is "
     "refused",
     "[found out]", &set::enrollment_mode},
    {Mode::trustpoint, "enrollment retry count", "enrollment retry count COUNT:0-1000",
     "How certificates are asked for|When there is no answer, or not yet|How often|0 = without end",
     "enrollment retry count 999", &set::retry_count},
    {Mode::trustpoint, "enrollment retry period", "enrollment retry period MINUTES:1-60",
     "How certificates are asked for|When there is no answer, or not yet|How long until the first "
     "time; doubled each time|Minutes",
     "enrollment retry period 1", &set::retry_period},
    {Mode::trustpoint, "enrollment spread", "enrollment spread SECONDS:0-3600",
     "How certificates are asked for|Umbra's: calls that a timer makes leave at random within this "
     "time, that a fleet does not arrive in one second|Seconds; 0 = at once",
     "enrollment spread 10", &set::enrollment_spread},
    {Mode::trustpoint, "enrollment url",
     "enrollment url URL:url [pem] [identifier IDENTIFIER:word]",
     "How certificates are asked for|The SCEP server; given more than once, servers of one CA that "
     "are tried in turn|http://HOST[:PORT][/PATH][?QUERY]; without a path, /cgi-bin|PEM "
     "boundaries|Umbra's: which CA, where a server has several|What GetCACert says; the "
     "trustpoint's name if left out",
     "[none]", &set::enrollment_url, Command::many},
    {Mode::trustpoint, "enrollment terminal", "enrollment terminal [pem]",
     "How certificates are asked for|By hand: requests are shown, certificates are pasted|With PEM "
     "boundaries",
     "[off]", &set::enrollment_terminal},
    {Mode::trustpoint, "enrollment selfsigned", "enrollment selfsigned",
     "How certificates are asked for|Not at all: self-signed", "[off]",
     &set::enrollment_selfsigned},
    {Mode::trustpoint, "enrollment profile", "enrollment profile NAME:word",
     "How certificates are asked for|As a profile says|The profile", "[none]",
     &set::enrollment_profile},
    {Mode::trustpoint, "serial-number", "serial-number [none]",
     "The serial number of this system in the subject|Leave it out", "[left out]",
     &set::serial_number},
    {Mode::trustpoint, "fqdn", "fqdn {none|NAME:word}",
     "The host name in the subject|Leave it out|This name", "[hostname.domain]", &set::fqdn},
    {Mode::trustpoint, "ip-address", "ip-address {none|A.B.C.D:ip|INTERFACE:word}",
     "An address in the subject|None|This one|The IPv4 address that this interface of the host has "
     "at the first request",
     "[none]", &set::ip_address},
    {Mode::trustpoint, "password", "password [0|7] PASSWORD:secret-line",
     "The challenge password in requests|In the clear|Type 7|The password", "[none]",
     &set::password},
    {Mode::trustpoint, "fingerprint", "fingerprint HEX:hex-line",
     "The CA certificate's fingerprint: accepted without asking if equal, refused if not|32 (MD5), "
     "40 (SHA-1) or 64 (SHA-256) digits",
     "[asked for]", &set::fingerprint},
    {Mode::trustpoint, "subject-name", "subject-name DN:dn", "The subject to ask for|CN=..,OU=..",
     "[the FQDN alone]", &set::subject_name},
    {Mode::trustpoint, "revocation-check",
     "revocation-check {crl|none|ocsp} [{crl|none|ocsp} [{crl|none|ocsp}]]",
     "How certificates of the CA are checked, in this order: RAs' when they answer, and by `crypto "
     "pki certificate validate`|CRL|Not at "
     "all|OCSP|CRL|Not at "
     "all|OCSP|CRL|Not at all|OCSP",
     "[crl]", &set::revocation_check},
    {Mode::trustpoint, "rsakeypair",
     "rsakeypair LABEL:word [SIZE:360-4096 [ENCRYPTION-SIZE:360-4096]]",
     "The key to certify; made if it is missing|Its label|2048-4096; 1024 and more with `allow "
     "legacy rsa-1024`|Of a second key for encryption",
     "[the FQDN, 2048 bits]", &set::rsakeypair},
    {Mode::trustpoint, "eckeypair", "eckeypair LABEL:word",
     "The elliptic key to certify, by hand or self-signed; P-256, made if it is missing|Its label",
     "[an RSA key]", &set::eckeypair},
    {Mode::trustpoint, "auto-enroll", "auto-enroll [PERCENT:10-100] [regenerate]",
     "Enrols, and renews when this much of the lifetime has passed; at the end if nothing "
     "follows|Percent|With a new key each time",
     "[off]", &set::auto_enroll},
    {Mode::trustpoint, "regenerate", "regenerate", "A new key for each enrolment", "[off]",
     &set::regenerate},
    {Mode::trustpoint, "hash", "hash {md5|sha1|sha256|sha384|sha512}",
     "The digest of requests and messages|Needs `allow legacy md5`|For old servers|SHA-256|SHA-384|"
     "SHA-512",
     "hash sha256", &set::hash},
    {Mode::trustpoint, "usage", "usage {ike|ssl-client|ssl-server}...",
     "What the certificate is for: without `eku request`, asked for as extended key "
     "usage|IKE, which wants no restriction: nothing is asked for|TLS clients|TLS servers",
     "[general]", &set::usage},
    {Mode::trustpoint, "eku request",
     "eku request {server-auth|client-auth|code-signing|email-protection|ipsec-end-system|"
     "ipsec-tunnel|ipsec-user|ocsp-signing|time-stamping}...",
     "Extended key usage|To ask for; the CA decides|TLS servers|TLS clients|Code|Mail|IPsec end "
     "systems|IPsec tunnels|IPsec users|OCSP responders|Time stamps",
     "[none]", &set::eku},
    {Mode::trustpoint, "source interface", "source interface NAME:line",
     "Where connections come from|An interface|Its name on this host, or one of this host's "
     "addresses",
     "[routing decides]", &set::source_interface},
    {Mode::trustpoint, "vrf", "vrf NAME:word", "The routing table to use|The VRF device's name",
     "[global]", &set::vrf},
    {Mode::trustpoint, "storage", "storage DEVICE:word",
     "Where certificates are kept|nvram: ... ; the daemon keeps them in its database", "[nvram:]"},
    {Mode::trustpoint, "primary", "primary", "The trustpoint to prefer", "[off]"},
    {Mode::trustpoint, "match certificate", "match certificate MAP:line",
     "Which peers|By their certificate|The map", "[all]", nullptr, Command::many},
    {Mode::trustpoint, "ocsp url", "ocsp url URL:url", "OCSP|Where to ask|http://...",
     "[as certificates say]", &set::ocsp_url},
    {Mode::trustpoint, "crl cache",
     "crl cache {none|delete-after MINUTES:1-43200|extend MINUTES:1-43200}",
     "CRLs|How long they are kept|Not at all|No longer than|Minutes|Beyond their end|Minutes",
     "[until they end]", &set::crl_cache},
    {Mode::trustpoint, "chain-validation", "chain-validation {stop|continue [NAME:word]}",
     "How far chains are checked|To this CA|To the next one|Its trustpoint", "[to the root]"},
    {Mode::trustpoint, "subject-alt-name", "subject-alt-name NAME:word...",
     "Other names to ask for|DNS names and addresses, or dns:NAME, ip:ADDRESS, email:ADDRESS, "
     "uri:URL (Umbra's); up to 20",
     "[none]", &set::alt_names},
    {Mode::trustpoint, "ip-extension", "ip-extension WHAT:line",
     "The IP address extension|multicast, unicast, inherit ...", "[none]"},
    {Mode::trustpoint, "authorization", "authorization WHAT:line",
     "What peers may do|list NAME, username ...", "[none]", nullptr, Command::many},
    {Mode::trustpoint, "on change exec", "on change exec COMMAND:line",
     "When something happens|Umbra's: after each change of certificates|Runs|The command and its "
     "arguments",
     "[nothing]", &set::on_change_exec},
    {Mode::trustpoint, "on change limit", "on change limit SECONDS:1-3600",
     "When something happens|Umbra's: after each change of certificates|How long the command may "
     "take|Seconds; then it is ended, and run again later",
     "[60]", &set::on_change_limit},
    {Mode::trustpoint, "on", "on DEVICE:word", "Where the key is|The device", "[here]"},
    {Mode::trustpoint, "storage pem",
     "storage pem DIRECTORY:word [owner USER:word] [group GROUP:word] [mode MODE:word] "
     "[include rollover-ca]",
     "Where certificates are kept|Umbra's: ca.pem, cert.pem, key.pem, chain.pem and bundle.pem for "
     "other programs|Their directory|Who owns the files|A user|Which group they belong to|A "
     "group|Who may read what holds the key|Octal, 600 if left out|What ca.pem and chain.pem hold "
     "besides|The next CA, as soon as it is known",
     "[no files]", &set::storage_pem},
    {Mode::trustpoint, "storage pkcs12",
     "storage pkcs12 FILE:word password [0|7] PASSWORD:secret [owner USER:word] [group GROUP:word] "
     "[mode MODE:word] [include rollover-ca]",
     "Where certificates are kept|Umbra's: key, certificate and CA in one sealed file|Its name|The "
     "password that seals it|In the clear|Type 7|The password|Who owns the file|A user|Which group "
     "it belongs to|A group|Who may read it|Octal, 600 if left out|What it holds besides|The next "
     "CA, as soon as it is known",
     "[no file]", &set::storage_pkcs12},
    {Mode::trustpoint, "allow legacy", "allow legacy {des|flat-next-ca|md5|rsa-1024}",
     "Umbra's: what is used and taken in|What is unsafe today|Single DES|GetNextCACert in EJBCA's "
     "form: no signature covers the next CA|MD5|RSA keys of 1024 bits",
     "[refused]", &set::allow_legacy, Command::per_keyword},
    {Mode::trustpoint, "show", "show", "Shows these settings (on the console)", "[let pass]",
     nullptr, Command::passed},

    // -- crypto pki profile enrollment --------------------------------------------------------
    {Mode::profile, "authentication url", "authentication url URL:url",
     "How the CA certificate is got|The SCEP server|http://HOST[:PORT][/PATH][?QUERY]",
     "[the enrollment url]", &set::authentication_url},
    {Mode::profile, "authentication terminal", "authentication terminal",
     "How the CA certificate is got|By hand", "[off]", &set::authentication_terminal},
    {Mode::profile, "authentication command", "authentication command TEXT:line",
     "How the CA certificate is got|By another HTTP request than SCEP's|The request", "[SCEP]"},
    {Mode::profile, "enrollment url", "enrollment url URL:url [identifier IDENTIFIER:word]",
     "How certificates are asked for|The SCEP server; given more than once, servers of one CA that "
     "are tried in turn|http://HOST[:PORT][/PATH][?QUERY]; without a path, /cgi-bin|Umbra's: which "
     "CA, where a server has several|What GetCACert says; the trustpoint's name if left out",
     "[none]", &set::enrollment_url, Command::many},
    {Mode::profile, "enrollment terminal", "enrollment terminal",
     "How certificates are asked for|By hand", "[off]", &set::enrollment_terminal},
    {Mode::profile, "enrollment command", "enrollment command TEXT:line",
     "How certificates are asked for|By another HTTP request than SCEP's|The request", "[SCEP]"},
    {Mode::profile, "enrollment credential", "enrollment credential NAME:word",
     "How certificates are asked for|First requests are signed by another trustpoint's "
     "certificate, "
     "for a CA that grants them for its sake (`grant auto trustpoint`)|The trustpoint",
     "[its own]", &set::enrollment_credential},
    {Mode::profile, "parameter", "parameter TEXT:line",
     "What `command` puts in|Its number and value", "[none]", nullptr, Command::many},

    // -- crypto pki certificate chain ---------------------------------------------------------
    {Mode::chain, "certificate",
     "certificate [{ca [rollover]|rollover|self-signed}] SERIAL:hex [FILE:url]",
     "A certificate as text: hexadecimal lines follow, then `quit`|Of the CA|The CA's next one|The "
     "identity's next one|A self-signed one|Its serial number|Or the file it is in",
     "[none]", nullptr, Command::many},
};

}  // namespace

std::span<const Command> command_table() { return table; }

const Grammar& grammar(Mode mode) {
  static const Grammar global(table, Mode::global);
  static const Grammar server(table, Mode::server);
  static const Grammar trustpoint(table, Mode::trustpoint);
  static const Grammar chain(table, Mode::chain);
  static const Grammar profile(table, Mode::profile);
  switch (mode) {
    case Mode::server:
      return server;
    case Mode::trustpoint:
      return trustpoint;
    case Mode::chain:
      return chain;
    case Mode::profile:
      return profile;
    case Mode::global:
    case Mode::exec:
      break;
  }
  return global;
}

}  // namespace umbra::config
