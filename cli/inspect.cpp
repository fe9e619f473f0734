// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/json.hpp"
#include "firesteel/cli/steps.hpp"
#include "firesteel/io/model_file.hpp"

namespace firesteel::cli {

namespace {

constexpr std::string_view kParameters = "parameters/";
constexpr std::string_view kSummary = "summary/";
/// Arrays of names and classes are shown in full up to this many values.
constexpr std::size_t kShownValues = 1000;

struct ArrayInfo {
  std::string_view type;
  std::vector<Index> shape;
};

template <class T>
std::string_view type_name() {
  if constexpr (std::is_same_v<T, double>) return "float64";
  if constexpr (std::is_same_v<T, std::int64_t>) return "int64";
  return "text";
}

/// Type and shape of an array; empty shape for a scalar.
ArrayInfo array_info(const RecordValue& value) {
  return std::visit(
      [](const auto& typed) -> ArrayInfo {
        if constexpr (requires { typed.shape; })
          return {type_name<typename std::decay_t<decltype(typed.values)>::value_type>(), typed.shape};
        else
          return {};
      },
      value);
}

std::size_t array_size(const std::vector<Index>& shape) {
  std::size_t values = 1;
  for (const Index extent : shape) values *= static_cast<std::size_t>(extent);
  return values;
}

std::string shape_text(const std::vector<Index>& shape) {
  std::string text;
  for (const Index extent : shape) text += (text.empty() ? "" : " x ") + std::to_string(extent);
  return text;
}

Json record_json(const Record& record, const std::string& path) {
  Json object = Json::object();
  object["command"] = "inspect";
  object["model"] = path;
  object["firesteel_format"] = kModelFormat;
  object["learner"] = record.get<std::string>("learner");
  object["sha256"] = record.sha256();
  object["parameters"] = Json::object();
  object["summary"] = Json::object();
  object["metadata"] = Json::object();
  object["arrays"] = Json::object();
  for (const auto& [name, value] : record.entries()) {
    const ArrayInfo info = array_info(value);
    if (name.starts_with(kParameters))
      object["parameters"][name.substr(kParameters.size())] = json_value(value);
    else if (name.starts_with(kSummary))
      object["summary"][name.substr(kSummary.size())] = json_value(value);
    else if (info.shape.empty())
      object["metadata"][name] = json_value(value);
    if (info.shape.empty()) continue;
    object["arrays"][name] = {{"type", info.type}, {"shape", info.shape}};
    if (name == "classes" || (info.type == "text" && array_size(info.shape) <= kShownValues))
      object[name] = json_value(value);
  }
  return object;
}

std::string value_line(const std::string& name, const RecordValue& value) {
  std::string line = "  " + name;
  line.resize(std::max<std::size_t>(30, line.size() + 1), ' ');
  const ArrayInfo info = array_info(value);
  if (info.shape.empty() || array_size(info.shape) <= 8)
    line += json_value(value).dump(-1, ' ', false, Json::error_handler_t::replace);
  else
    line += shape_text(info.shape) + " " + std::string(info.type);
  return line + "\n";
}

std::string record_text(const Record& record, const std::string& path) {
  std::string parameters;
  std::string summary;
  std::string others;
  for (const auto& [name, value] : record.entries()) {
    if (name.starts_with(kParameters))
      parameters += value_line(name.substr(kParameters.size()), value);
    else if (name.starts_with(kSummary))
      summary += value_line(name.substr(kSummary.size()), value);
    else
      others += value_line(name, value);
  }
  return path + ": format " + std::to_string(kModelFormat) + "\nsha256 " + record.sha256() + "\nmodel\n" +
         others + "parameters\n" + parameters + "summary\n" + summary;
}

}  // namespace

void run_inspect(const Run& run) {
  const Context& context = run.context;
  require_readable(context, run.job.model);
  const Record record = read_model(context, run.job.model);
  const std::string text = context.comm().collectively([&] {
    return run.job.json ? json_text(record_json(record, run.job.model)) : record_text(record, run.job.model);
  });
  write_stdout(context, text);
}

}  // namespace firesteel::cli
