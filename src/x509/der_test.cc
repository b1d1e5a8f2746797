#include "x509/der.h"

#include <gtest/gtest.h>

#include "x509/serial.h"

namespace umbra::x509 {
namespace {

TEST(Der, ReadsDefiniteMinimalLengthsAndNothingElse) {
  const Bytes good = {0x30, 0x03, 0x02, 0x01, 0x05};
  EXPECT_EQ(*der::parse_uint(*der::Reader(der::parse_one(good, 0x30, "x")->content).next()), 5U);
  for (const Bytes& bad : {Bytes{}, Bytes{0x30}, Bytes{0x30, 0x80, 0, 0},
                           Bytes{0x30, 0x81, 0x03, 2, 1, 5}, Bytes{0x30, 0x04, 2, 1, 5},
                           Bytes{0x1F, 0x81, 0x01, 0x00}, Bytes{0x30, 0x85, 1, 1, 1, 1, 1}}) {
    der::Reader reader(bad);
    EXPECT_EQ(reader.next().error().code, Errc::malformed);
  }
}

TEST(Der, TagsHaveAFormOfTheirType) {
  for (const char* bad : {"0000", "2000", "0800", "0B00", "1000", "1100", "2100", "2203020105",
                          "230403020780", "2500", "2603060155", "2A030A0101", "2C00", "3300"}) {
    const Bytes value = *from_hex(bad);
    EXPECT_EQ(der::Reader(value).next().error().code, Errc::malformed) << bad;
    EXPECT_EQ(der::from_ber(der::tlv(der::tag::sequence, value)).error().code, Errc::malformed)
        << bad;
  }
  for (const char* good : {"3000", "3100", "2800", "2B00", "8000", "A000", "4000", "6000"}) {
    const Bytes value = *from_hex(good);
    EXPECT_TRUE(der::Reader(value).next()) << good;
  }
  const Bytes in_pieces = *from_hex("2403040101");
  EXPECT_FALSE(der::Reader(in_pieces).next());
  EXPECT_EQ(to_hex(*der::from_ber(in_pieces)), "040101");
}

TEST(Der, SimpleValuesHaveContentsOfTheirType) {
  for (const char* bad :
       {"0100", "01020000", "0200", "02020005", "0202FFFF", "0A00", "0A020001", "0300", "030101",
        "03020800", "050100", "0600", "06025584", "06028001", "1E0141", "1C020041"}) {
    const Bytes value = *from_hex(bad);
    EXPECT_EQ(der::Reader(value).next().error().code, Errc::malformed) << bad;
    EXPECT_EQ(der::from_ber(der::tlv(der::tag::sequence, value)).error().code, Errc::malformed)
        << bad;
  }
  for (const char* good : {"0101FF", "020100", "02020080", "0202FF7F", "0A0101", "030100",
                           "03020780", "0500", "060155", "1E020041", "1C00", "0400", "1300"}) {
    const Bytes value = *from_hex(good);
    EXPECT_TRUE(der::Reader(value).next()) << good;
  }
}

TEST(Der, WritesOidsIntegersAndTimesAsRfc5280HasThem) {
  EXPECT_EQ(to_hex(der::object_identifier("1.2.840.113549.1.1.11")), "06092A864886F70D01010B");
  EXPECT_EQ(der::to_dotted(*from_hex("2A864886F70D01010B")), "1.2.840.113549.1.1.11");
  EXPECT_EQ(der::to_dotted(*from_hex("6086480186F8450109 02")), "2.16.840.1.113733.1.9.2");
  EXPECT_EQ(to_hex(der::object_identifier("2.16.840.1.113733.1.9.2")), "060A6086480186F845010902");
  EXPECT_EQ(to_hex(der::small_integer(0)), "020100");
  EXPECT_EQ(to_hex(der::small_integer(128)), "02020080");
  const Time at = *from_rfc3339("2017-10-08T12:14:16Z");
  EXPECT_EQ(as_text(ByteView(der::time(at)).subspan(2)), "171008121416Z");
  const Time late = *from_rfc3339("2050-01-01T00:00:00Z");
  EXPECT_EQ(der::time(late)[0], der::tag::generalized_time);
  for (const Time t :
       {at, late, *from_rfc3339("1950-01-01T00:00:00Z"), *from_rfc3339("2049-12-31T23:59:59Z")}) {
    const Bytes written = der::time(t);
    EXPECT_EQ(*der::parse_time(*der::Reader(written).next()), t);
  }
}

TEST(Der, OidsWithWideArcsComeBackAsTheyWent) {
  for (const char* dotted :
       {"2.5.4.3", "1.2.840.113549.1.9.7", "2.999.1", "1.3.6.1.4.1.68719476736"}) {
    const Bytes whole = der::object_identifier(dotted);
    EXPECT_EQ(der::to_dotted(ByteView(whole).subspan(2)), dotted);
  }
}

TEST(Der, OidsThatAreCutOffOrPaddedAreNone) {
  for (const Bytes& content : {Bytes{}, Bytes{0x55, 0x84}, Bytes{0x55, 0x80, 0x04}, Bytes{0x80}}) {
    EXPECT_EQ(der::to_dotted(content), "");
  }
}

TEST(Der, MakesDefiniteFormOfIndefiniteAndConstructedOnes) {
  // SEQUENCE (indefinite) { OCTET STRING (constructed, indefinite) { "ab", "c" } }
  const Bytes ber = *from_hex("3080 2480 0402 6162 0401 63 0000 0000");
  EXPECT_EQ(to_hex(*der::from_ber(ber)), "30050403616263");
  const Bytes der = *from_hex("30050403616263");
  EXPECT_EQ(*der::from_ber(der), der);
  EXPECT_EQ(to_hex(*der::from_ber(*from_hex("30810302 0105"))), "3003020105");
  Bytes deep;
  for (int i = 0; i < 100; ++i) deep.insert(deep.end(), {0x30, 0x80});
  EXPECT_FALSE(der::from_ber(deep));
  for (std::size_t cut = 1; cut < ber.size(); ++cut)
    EXPECT_FALSE(der::from_ber(ByteView(ber).first(cut)));
}

TEST(Serial, PrintsAsTheScreensDo) {
  EXPECT_EQ(Serial(1).to_hex_octets(), "01");
  EXPECT_EQ(Serial(1).to_hex(), "1");
  EXPECT_EQ(Serial(0x10F).to_hex_octets(), "010F");
  EXPECT_EQ(Serial(0x10F).to_hex(), "10F");
  EXPECT_EQ(*Serial::from_hex("0x10f"), Serial(0x10F));
  EXPECT_LT(Serial(9), Serial(16));
  EXPECT_EQ(to_hex(Serial(0x80).integer_der()), "02020080");
  EXPECT_TRUE(Serial::from_big_endian(Bytes(32, 1))) << "certmonger's own certificates";
  EXPECT_FALSE(Serial::from_big_endian(Bytes(41, 1)));
  EXPECT_EQ(Serial::from_decimal("340282366920938463463374607431768211455")->to_hex(),
            std::string(32, 'F'));
  EXPECT_EQ(*Serial::from_decimal("0018446744073709551616"),
            *Serial::from_hex("10000000000000000"));
  EXPECT_FALSE(Serial::from_decimal(""));
  EXPECT_FALSE(Serial::from_decimal("-1"));
  EXPECT_FALSE(Serial::from_decimal(std::string(97, '9'))) << "more than 320 bits";
  EXPECT_EQ(*Serial(77).to_uint64(), 77U);
}

}  // namespace
}  // namespace umbra::x509
