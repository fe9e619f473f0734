// SPDX-License-Identifier: Apache-2.0
// What stores say and are told: URLs, signatures, listings.
#include <gtest/gtest.h>

#include "firesteel/core/error.hpp"
#include "firesteel/io/store.hpp"
#include "firesteel/io/stores/http_ranges.hpp"
#include "firesteel/io/stores/s3_access.hpp"
#include "firesteel/io/stores/store_answers.hpp"
#include "firesteel/io/stores/url.hpp"

namespace firesteel {
namespace {

std::string refusal(const std::string& url) {
  try {
    parse_url(url);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_parameter);
    return error.what();
  }
  return "none";
}

TEST(Urls, are_taken_apart) {
  const Url http = parse_url("HTTPS://host.example:8443/a/b%20c.csv?x=1&y=2");
  EXPECT_EQ(http.scheme, "https");
  EXPECT_EQ(http.host, "host.example");
  EXPECT_EQ(http.port, 8443);
  EXPECT_EQ(http.path, "/a/b%20c.csv");
  EXPECT_EQ(http.query, "x=1&y=2");
  const Url s3 = parse_url("s3a://bucket/a folder/k=1/*?.csv");
  EXPECT_EQ(s3.scheme, "s3");
  EXPECT_EQ(s3.host, "bucket");
  EXPECT_EQ(s3.path, "/a folder/k=1/*?.csv");
  EXPECT_EQ(parse_url("hdfs://[::1]:9870/x").host, "[::1]");
  EXPECT_EQ(parse_url("http://host").path, "/");
  EXPECT_EQ(parse_url("http://host?q").query, "q");
  for (const char* path : {"a.csv", "/a/b", "c:/a", "a=://b", "://", "1a://b"})
    EXPECT_FALSE(is_url(path)) << path;
}

TEST(Urls, that_are_wrong_are_refused_without_their_secrets) {
  EXPECT_NE(refusal("http://me:hidden@host/a").find("'http://...@host/a': a user or password"),
            std::string::npos);
  EXPECT_EQ(refusal("http://me:hidden@host/a").find("hidden"), std::string::npos);
  for (const char* url :
       {"http://", "http:///a", "http://host:/", "http://host:0/", "http://host:65536/", "http://ho st/",
        "http://host/a b", "http://host/a#b", "http://[::1/", "http://host\n/", "s3:///key",
        "s3://bucket:1/key", "ftp://host/a", "file:///a", "http://h\xc3\xb6st/"})
    EXPECT_NE(refusal(url), "none") << url;
}

TEST(Urls, are_shown_without_secrets) {
  EXPECT_EQ(without_secrets("https://h/a.csv?x=1&X-Amz-Signature=abc&token=d"),
            "https://h/a.csv?x=1&X-Amz-Signature=...&token=...");
  EXPECT_EQ(without_secrets("s3://bucket/a?token=1"), "s3://bucket/a?token=1");  // a key
  EXPECT_EQ(without_secrets("a.csv?token=1"), "a.csv?token=1");
  // Two that differ in them alone have names of their own, which lead back to them.
  const std::string first = shown_name("http://h/a?sig=1");
  const std::string second = shown_name("http://h/a?sig=2");
  EXPECT_NE(first, second);
  EXPECT_EQ(full_url(first), "http://h/a?sig=1");
  EXPECT_EQ(full_url(second), "http://h/a?sig=2");
  EXPECT_EQ(shown_name(second), second);
}

TEST(Urls, percent_encoding_goes_there_and_back) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(percent_decode(percent_encode(all)), all);
  EXPECT_EQ(percent_encode("a b/\xc3\xa9~", true), "a%20b/%C3%A9~");
  EXPECT_EQ(percent_decode("%4%zz%41"), "%4%zzA");
}

/// The examples of Amazon's documentation of Signature Version 4 for S3.
class Signature : public ::testing::Test {
 protected:
  static std::string of(S3Call call) {
    S3Access access;
    access.key_id = "AKIAIOSFODNN7EXAMPLE";
    access.secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    call.host = "examplebucket.s3.amazonaws.com";
    const auto headers = s3_signed_headers(call, access, "20130524T000000Z");
    return headers.back().substr(headers.back().rfind('=') + 1);
  }
};

TEST_F(Signature, is_the_published_one) {
  EXPECT_EQ(of({.path = "/test.txt", .headers = {{"range", "bytes=0-9"}}, .payload_hash = sha256_hex("")}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  EXPECT_EQ(of({.method = "PUT",
                .path = "/" + percent_encode("test$file.text", true),
                .headers = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                            {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                .payload_hash = sha256_hex("Welcome to Amazon S3.")}),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
  EXPECT_EQ(of({.path = "/", .query = {{"lifecycle", ""}}, .payload_hash = sha256_hex("")}),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  EXPECT_EQ(of({.path = "/", .query = {{"prefix", "J"}, {"max-keys", "2"}}, .payload_hash = sha256_hex("")}),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(Answers, of_s3) {
  const auto page = parse_s3_listing(
      "<?xml version=\"1.0\"?><ListBucketResult "
      "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url</EncodingType>"
      "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><Contents><Key>a%20b</"
      "Key>"
      "<Size>12</Size><ETag>&quot;x&quot;</ETag></Contents><CommonPrefixes><Prefix>k%3D1/</Prefix></"
      "CommonPrefixes>"
      "</ListBucketResult>");
  ASSERT_EQ(page.objects.size(), 1U);
  EXPECT_EQ(page.objects[0].key, "a b");
  EXPECT_EQ(page.objects[0].bytes, 12);
  EXPECT_EQ(page.objects[0].entity_tag, "\"x\"");
  EXPECT_EQ(page.prefixes, (std::vector<std::string>{"k=1/"}));
  EXPECT_EQ(page.next, "t");
  EXPECT_THROW(parse_s3_listing("<html/>"), Error);
  EXPECT_THROW(parse_s3_listing(
                   "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>"),
               Error);
  EXPECT_EQ(parse_s3_error("<Error><Code>AccessDenied</Code><Message>no\nway</Message></Error>"),
            "AccessDenied: no way");
  EXPECT_EQ(parse_s3_error("garbage"), "");
}

TEST(Answers, of_hdfs) {
  const auto list = parse_hdfs_list(
      R"({"FileStatuses":{"FileStatus":[{"pathSuffix":"a","type":"FILE","length":5,"modificationTime":7},
          {"pathSuffix":"d","type":"DIRECTORY","length":0,"modificationTime":1}]}})");
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].bytes, 5);
  EXPECT_TRUE(list[1].directory);
  EXPECT_THROW(parse_hdfs_list("[]"), Error);
  EXPECT_THROW(
      parse_hdfs_status(R"({"FileStatus":{"pathSuffix":"","type":"FILE","length":-5,"modificationTime":7}})"),
      Error);
  EXPECT_EQ(parse_hdfs_error(R"({"RemoteException":{"exception":"E","message":"m\nat x"}})"), "E: m");
}

TEST(Answers, blocks_of_hdfs) {
  const auto blocks = parse_hdfs_blocks(
      R"({"BlockLocations":{"BlockLocation":[
          {"offset":0,"length":128,"corrupt":false,"hosts":["h1","h2.example.org"],
           "names":["10.0.0.1:9866","[fe80::1]:9866","fe80::2"],"topologyPaths":["/default-rack/10.0.0.1:9866"]},
          {"offset":128,"length":5,"corrupt":true,"hosts":["h1"],"names":["10.0.0.1:9866"]}]}})");
  ASSERT_EQ(blocks.size(), 2U);
  EXPECT_EQ(blocks[0].begin, 0);
  EXPECT_EQ(blocks[0].end, 128);
  EXPECT_EQ(blocks[0].hosts,
            (std::vector<std::string>{"h1", "h2.example.org", "10.0.0.1", "fe80::1", "fe80::2"}));
  EXPECT_EQ(blocks[1].end, 133);
  EXPECT_TRUE(blocks[1].hosts.empty());  // nobody can read it there
  EXPECT_TRUE(parse_hdfs_blocks(R"({"BlockLocations":{"BlockLocation":[]}})").empty());
  for (const char* wrong :
       {"{}", "[]", R"({"BlockLocations":[]})", R"({"BlockLocations":{"BlockLocation":7}})",
        R"({"BlockLocations":{"BlockLocation":[{"offset":-1,"length":5}]}})",
        R"({"BlockLocations":{"BlockLocation":[{"offset":0,"length":5,"hosts":[7]}]}})",
        R"({"BlockLocations":{"BlockLocation":[
                                {"offset":4611686018427387904,"length":4611686018427387904}]}})"})
    EXPECT_THROW(parse_hdfs_blocks(wrong), Error) << wrong;
}

TEST(Answers, ranges_and_lengths) {
  const auto range = parse_content_range("bytes 5-9/100");
  EXPECT_EQ(range.begin, 5);
  EXPECT_EQ(range.end, 10);
  EXPECT_EQ(range.total, 100);
  EXPECT_EQ(parse_content_range("bytes */0").total, 0);
  for (const char* wrong :
       {"", "bytes", "bytes 9-5/100", "bytes 5-100/100", "bytes -1-5/9", "items 0-1/2", "bytes 0-x/2"})
    EXPECT_EQ(parse_content_range(wrong).begin, -1) << wrong;
  EXPECT_EQ(parse_length("9223372036854775808"), -1);
  EXPECT_EQ(parse_length("12"), 12);
}

TEST(Files, of_keys) {
  const std::string text =
      "[default]\naws_access_key_id = A\n# no\n[profile x]\nregion=eu\ns3 =\n  region = nested\n";
  EXPECT_EQ(parse_ini_section(text, {"profile x"}),
            (std::vector<std::pair<std::string, std::string>>{{"region", "eu"}, {"s3", ""}}));
  EXPECT_EQ(parse_ini_section(text, {"default"}).at(0).second, "A");
  EXPECT_TRUE(parse_ini_section(text, {"y"}).empty());
}

}  // namespace
}  // namespace firesteel
