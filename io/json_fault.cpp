// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/json_fault.hpp"

#include "firesteel/io/quoted.hpp"

namespace firesteel {

namespace {

struct Fault {
  const char* said;  ///< a part of what the library says
  const char* what;
};

constexpr Fault kFaults[] = {
    {"surrogate", "a \\u escape that names half of a character: write both halves, or the character itself"},
    {"ill-formed UTF-8", "bytes that are no UTF-8: convert the file, as by iconv -f ISO-8859-1 -t UTF-8"},
    {"control character", "a control character within a text: write it as \\u and four hexadecimal digits"},
    {"missing closing quote", "the line ends within a text: expected a whole object on one line"},
    {"unexpected end of input", "the line ends early: expected a whole object on one line"},
    {"forbidden character after backslash", "an escape that JSON does not have: write \\\\ for a backslash"},
    {"must be followed by 4 hex", "a \\u escape without four hexadecimal digits"},
};

std::string what_of(const std::string& token, const std::string& said) {
  if (said.find("out_of_range") != std::string::npos)
    return "the number " + quoted(token) + " is beyond double precision: write null where it is not known";
  for (const auto& fault : kFaults)
    if (said.find(fault.said) != std::string::npos) return fault.what;
  return "expected JSON, one object such as {\"x\": 1.5} a line, got " + quoted(token);
}

}  // namespace

std::string json_fault(std::size_t byte, const std::string& token, const std::string& said,
                       const std::string& member) {
  // Before its colon a member is not known.
  const bool known = !member.empty() && said.find("while parsing object") == std::string::npos;
  return "at byte " + std::to_string(byte) + " of the line: " + what_of(token, said) +
         (known ? " (column " + quoted(member) + ")" : "");
}

}  // namespace firesteel
