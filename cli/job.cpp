// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/job.hpp"

#include <algorithm>
#include <charconv>

#include "firesteel/cli/option_uses.hpp"
#include "firesteel/core/error.hpp"
#include "firesteel/io/parts_output.hpp"
#include "firesteel/io/store.hpp"
#include "firesteel/io/write_data.hpp"

namespace firesteel::cli {

namespace {

constexpr Index kMaxThreads = 4096;
constexpr double kLongestWait_s = 1e6;

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::vector<std::string> names_of(const std::vector<Option>& options) {
  std::vector<std::string> names;
  for (const auto& option : options) names.push_back(option.name);
  return names;
}

bool declares(const std::vector<Option>& options, std::string_view name) {
  return std::any_of(options.begin(), options.end(), [&](const Option& o) { return o.name == name; });
}

std::string one_of(const Arguments& arguments, std::string_view name, const std::vector<std::string>& words,
                   std::string_view fallback) {
  std::string value = arguments.text(name, fallback);
  if (value.empty() || std::find(words.begin(), words.end(), value) != words.end()) return value;
  std::string list;
  for (const auto& word : words) list += (list.empty() ? "" : ", ") + word;
  throw bad_parameter("--" + std::string(name) + ": expected one of " + list + ", got " + quoted(value) +
                      suggestion(value, words));
}

/// A whole number in [1, high].
Index count_of(const Arguments& arguments, std::string_view name, Index high) {
  const std::string value = arguments.text(name);
  const auto number = parse_integer(value);
  if (!number || *number < 1 || *number > high)
    throw bad_parameter("--" + std::string(name) + ": expected a whole number in 1 ... " +
                        std::to_string(high) + ", got " + quoted(value));
  return *number;
}

void check_seed(const Arguments& arguments) {
  if (!arguments.given("seed")) return;
  const std::string value = arguments.text("seed");
  std::uint64_t number = 0;
  const auto result = std::from_chars(value.data(), value.data() + value.size(), number);
  if (result.ec != std::errc() || result.ptr != value.data() + value.size())
    throw bad_parameter("--seed: expected a whole number in 0 ... 2^64-1, got " + quoted(value));
}

std::string delimiter_of(const Arguments& arguments) {
  if (!arguments.given("delimiter")) return {};
  std::string value = arguments.text("delimiter");
  if (value == "tab" || value == "space") return value;
  if (value == "\t") return "tab";
  if (value == " ") return "space";
  if (value.size() != 1 || value == "\"" || value == "\n" || value == "\r")
    throw bad_parameter("--delimiter: expected one character or the words tab, space, got " + quoted(value));
  return value;
}

ReadOptions read_options(const Arguments& arguments) {
  ReadOptions read;
  read.inputs = arguments.list("input");
  read.format = one_of(arguments, "format", data_formats(), "");
  read.label = arguments.text("label", read.label);
  read.features = arguments.comma_list("features");
  read.exclude = arguments.comma_list("exclude");
  read.weight = arguments.text("weight");
  read.header = arguments.boolean("header", true);
  read.delimiter = delimiter_of(arguments);
  read.missing = one_of(arguments, "missing", {"error", "drop", "mean"}, "error");
  read.zero_based = arguments.boolean("zero-based", false);
  if (arguments.given("num-features")) read.num_features = count_of(arguments, "num-features", 0x7fffffff);
  read.dataset = arguments.text("dataset", read.dataset);
  read.user = arguments.text("user", read.user);
  read.item = arguments.text("item", read.item);
  read.rating = arguments.text("rating", read.rating);
  read.single_precision = one_of(arguments, "precision", {"double", "single"}, "double") == "single";
  read.keep = arguments.comma_list("keep");
  check_seed(arguments);
  return read;
}

const LearnerEntry& learner_named(const std::string& name) {
  if (const LearnerEntry* entry = find_learner(name)) return *entry;
  std::string list;
  for (const auto& known : learner_names()) list += (list.empty() ? "" : ", ") + known;
  throw bad_parameter("unknown learner " + quoted(name) + suggestion(name, learner_names()) +
                      " (learners: " + list + ")");
}

/// The options that this command line may use.
std::vector<Option> allowed_options(const Job& job) {
  std::vector<Option> options = command_options(job.command->verb);
  const auto append = [&](const std::vector<Option>& more) {
    options.insert(options.end(), more.begin(), more.end());
  };
  const bool trains = job.command->verb == Verb::train || job.command->verb == Verb::plan;
  if (trains && job.entry != nullptr) append(learner_options(*job.entry));
  if (trains && job.entry == nullptr)
    for (const auto& learner : learners()) append(learner_options(learner));
  if (job.command->verb == Verb::score || job.command->verb == Verb::evaluate) append(scoring_options());
  return options;
}

void check_allowed(const Job& job, const Arguments& arguments) {
  const auto allowed = allowed_options(job);
  const auto candidates = names_of(allowed);
  for (const auto& name : arguments.unknown())
    throw bad_parameter("unknown option --" + name + suggestion(name, candidates, "--") + " (see firesteel " +
                        std::string(job.command->name) + " --help)");
  for (const auto& [name, values] : arguments.options()) {
    if (declares(allowed, name)) continue;
    std::string here = quoted(job.command->name);
    const bool trains = job.command->verb == Verb::train || job.command->verb == Verb::plan;
    if (trains && job.entry != nullptr) here += " " + std::string(job.entry->name);
    throw bad_parameter("--" + name + " is not an option of " + here + ": it is " + where_known(name) +
                        suggestion(name, candidates, "--"));
  }
}

void check_positionals(Job& job, const Arguments& arguments) {
  const auto& words = arguments.positionals();
  const std::string usage =
      "firesteel " + std::string(job.command->name) + " " + std::string(job.command->usage);
  if (works_on_rows(job.command->verb) || job.command->verb == Verb::convert) return;
  const std::size_t most = job.command->positional.empty() ? 0 : 1;
  if (words.size() > most)
    throw bad_parameter("unexpected word " + quoted(words[most]) + "; usage: " + usage);
  const bool needs_one = most == 1 && job.command->positional.front() != '[';
  if (words.empty() && needs_one && !job.help)
    throw bad_parameter("expected a " + std::string(job.command->positional) + " after " +
                        quoted(job.command->name) + "; usage: " + usage);
  if (job.command->positional == "MODEL" && !words.empty()) job.model = words.front();
  if (job.command->positional == "MODEL" && !words.empty() && job.model.empty())
    throw bad_parameter("expected a MODEL after " + quoted(job.command->name) + ", got ''");
}

void require(const Arguments& arguments, const Command& command, std::string_view option) {
  if (!arguments.given(option))
    throw bad_parameter(quoted(command.name) + " needs --" + std::string(option) +
                        "; example: " + std::string(command.example));
}

void check_extension(const std::string& path, const std::vector<std::string>& extensions) {
  if (path == "-" && extensions.front() == ".csv" && extensions.back() == "-") return;
  std::string list;
  const std::string name = without_slash(path);
  if (is_parts(path) && name.ends_with(".fsp"))
    throw bad_parameter("--output: a packed file is one file, without a slash at its end, got " +
                        quoted(path));
  for (const auto& extension : extensions) {
    if (extension != "-" && name.size() > extension.size() && name.ends_with(extension)) return;
    list += (list.empty() ? "" : ", ") + extension;
  }
  throw bad_parameter("--output: the format is named by the extension (" + list + "), got " + quoted(path));
}

void set_learner(Job& job, const Arguments& arguments) {
  job.learner = job.entry->make();
  for (const auto& parameter : parameters_of(*job.learner)) {
    const std::string option = parameter_option(parameter);
    if (!arguments.given(option)) continue;
    if (parameter.type == ParameterInfo::Type::matrix)
      job.matrix_files.emplace_back(parameter.name, arguments.text(option));
    else
      set_parameter(*job.learner, parameter.name, arguments.text(option));
  }
  validate_parameters(*job.learner);
  job.k_named = arguments.given("k");
}

/// Takes what is given for scoring; the texts are checked against every learner that has the parameter.
void set_scoring(Job& job, const Arguments& arguments) {
  for (const auto& entry : learners()) {
    ParameterLister lister;
    entry.describe_scoring(lister);
    for (const auto& parameter : lister.list) {
      const std::string option = parameter_option(parameter);
      if (!arguments.given(option)) continue;
      const std::pair<std::string, std::string> given{parameter.name, arguments.text(option)};
      ParameterSetter setter(given.first, given.second);
      entry.describe_scoring(setter);
      if (std::find(job.scoring.begin(), job.scoring.end(), given) == job.scoring.end())
        job.scoring.push_back(given);
    }
  }
}

void set_top(Job& job, const Arguments& arguments) {
  const std::string whom = one_of(arguments, "for", {"user", "item"}, "user");
  if (arguments.given("top")) job.top = count_of(arguments, "top", 1'000'000'000);
  if (arguments.given("for") && job.top == 0)
    throw bad_parameter("--for is used with --top N; --top is not given");
  if (job.top > 0 && arguments.given("keep"))
    throw bad_parameter("--keep copies columns of --input; --top reads no input");
  job.top_for_items = whom == "item";
}

void set_checkpoint(Job& job, const Arguments& arguments) {
  CheckpointOptions& checkpoint = job.checkpoint;
  checkpoint.directory = arguments.text("checkpoint");
  checkpoint.resume = arguments.boolean("resume", false);
  if (arguments.given("checkpoint-seconds")) {
    const std::string value = arguments.text("checkpoint-seconds");
    const auto seconds = parse_number(value);
    if (!seconds || !(*seconds > 0))
      throw bad_parameter("--checkpoint-seconds: expected a number > 0, got " + quoted(value));
    checkpoint.seconds = *seconds;
    checkpoint.every = 0;
  }
  if (arguments.given("checkpoint-every"))
    checkpoint.every = count_of(arguments, "checkpoint-every", 1'000'000'000);
  for (const char* option : {"checkpoint-every", "checkpoint-seconds", "resume"})
    if (arguments.given(option) && checkpoint.directory.empty())
      throw bad_parameter("--" + std::string(option) + " needs --checkpoint DIR");
}

/// Seconds, or 0 for never; `fallback` where the option is not given.
double wait_of(const Arguments& arguments, std::string_view name, double fallback) {
  if (!arguments.given(name)) return fallback;
  const std::string value = arguments.text(name);
  const auto seconds = parse_number(value);
  if (!seconds || !(*seconds == 0 || (*seconds >= 1 && *seconds <= kLongestWait_s)))
    throw bad_parameter("--" + std::string(name) +
                        ": expected 0, or a number of seconds in 1 ... 1000000, got " + quoted(value));
  return *seconds;
}

/// --memory: bytes of a rank, or a share of what there is.
void set_storage(Job& job, const Arguments& arguments) {
  job.storage.scratch = arguments.text("scratch");
  if (arguments.given("scratch") && job.storage.scratch.empty())
    throw bad_parameter("--scratch: expected a directory, got ''");
  if (!arguments.given("memory")) return;
  const std::string value = arguments.text("memory");
  if (value.ends_with('%')) {
    const auto share = parse_number(value.substr(0, value.size() - 1));
    if (!share || !(*share > 0 && *share <= 100))
      throw bad_parameter("--memory: expected a share above 0% and up to 100%, got " + quoted(value));
    job.storage.share = *share / 100;
    return;
  }
  const auto bytes = parse_bytes(value);
  if (!bytes)
    throw bad_parameter(
        "--memory: expected bytes of a rank such as 300M or 2G, or a share such as 60%, got " +
        quoted(value));
  if (*bytes < kSmallestMemory)
    throw bad_parameter("--memory: expected at least 128M, which a rank with its libraries needs, got " +
                        quoted(value));
  job.storage.memory = *bytes;
}

/// Data may be named without --input, and the last word of convert is its output.
void set_data(Job& job, const Arguments& arguments) {
  std::vector<std::string> words = arguments.positionals();
  if (std::find(words.begin(), words.end(), "") != words.end())
    throw bad_parameter("expected a file, a directory or a glob, got ''");
  if (job.command->verb == Verb::convert && !words.empty() && !arguments.given("output")) {
    job.output = words.back();
    words.pop_back();
  }
  job.read.inputs.insert(job.read.inputs.begin(), words.begin(), words.end());
}

void set_output(Job& job, const Arguments& arguments) {
  if (job.output.empty()) {
    require(arguments, *job.command, "output");
    job.output = arguments.text("output");
  }
  if ((job.command->verb == Verb::train || job.command->verb == Verb::plan) && job.output == "-")
    throw bad_parameter("--output: a model is a file, it cannot be written to stdout ('-')");
  if (job.command->verb == Verb::score) check_extension(job.output, {".csv", ".tsv", ".h5", ".hdf5", "-"});
  if (job.command->verb == Verb::convert) check_extension(job.output, output_extensions());
  if (job.output == "-" && job.json)
    throw bad_parameter("--json and --output - both write to stdout: name a file, or leave out --json");
}

void set_values(Job& job, const Arguments& arguments) {
  const Verb verb = job.command->verb;
  job.json = arguments.boolean("json", false);
  job.quiet = arguments.boolean("quiet", false);
  job.verbose = arguments.boolean("verbose", false);
  if (job.quiet && job.verbose) throw bad_parameter("--quiet and --verbose exclude each other");
  if (arguments.given("threads")) job.threads = static_cast<int>(count_of(arguments, "threads", kMaxThreads));
  if (verb == Verb::doctor) job.checkpoint.directory = arguments.text("checkpoint");
  if (verb == Verb::inspect || verb == Verb::learners || verb == Verb::doctor) return;
  for (const auto& [name, values] : arguments.options())
    job.given.emplace(name, values.empty() ? "" : values.front());
  job.label_named = arguments.given("label");
  job.missing_named = arguments.given("missing");
  job.ratings_named = arguments.given("user") || arguments.given("item") || arguments.given("rating");
  job.peer_timeout_s = wait_of(arguments, "peer-timeout", job.peer_timeout_s);
  job.stall_s = wait_of(arguments, "stall-seconds", job.stall_s);
  set_storage(job, arguments);
  job.read = read_options(arguments);
  if (works_on_rows(verb) || verb == Verb::convert) set_data(job, arguments);
  if (works_on_rows(verb)) {
    job.rows = row_words(*job.command, arguments, job.read);
    job.output = job.rows.outputs.empty() ? "" : job.rows.outputs.front();
    if (job.output == "-" && job.json)
      throw bad_parameter("--json and --output - both write to stdout: name a file, or leave out --json");
    return;
  }
  if (verb == Verb::train || verb == Verb::plan) {
    set_learner(job, arguments);
    set_checkpoint(job, arguments);
  }
  job.heartbeat = arguments.text("heartbeat");
  job.shrink = one_of(arguments, "on-failure", {"end", "shrink"}, "end") == "shrink";
  if (verb == Verb::score || verb == Verb::evaluate) set_scoring(job, arguments);
  if (verb == Verb::score) set_top(job, arguments);
  if (job.top == 0 && job.read.inputs.empty()) require(arguments, *job.command, "input");
  if (verb != Verb::evaluate && (verb != Verb::plan || arguments.given("output"))) set_output(job, arguments);
  if (!job.heartbeat.empty() && job.heartbeat == job.output)
    throw bad_parameter("--heartbeat and --output name the same file, " + quoted(job.output));
  if (verb == Verb::train || verb == Verb::plan) refuse_unused(job, job.entry->task);
  if (verb == Verb::convert) refuse_unused(job, task_of_convert(job));
}

/// URLs are looked over, and called from here on by names that show no secrets.
void name_urls(Job& job, const Arguments& arguments) {
  for (const char* option : {"checkpoint", "heartbeat", "scratch"})
    if (is_url(arguments.text(option)))
      throw bad_parameter(
          "--" + std::string(option) + ": expected a path of a file system that this machine has, got a URL" +
          (std::string_view(option) == "checkpoint" ? "; a shared one, if the ranks run on several machines"
                                                    : ""));
  for (auto& input : job.read.inputs) input = shown_name(input);
  for (auto& file : job.matrix_files) file.second = shown_name(file.second);
  job.model = shown_name(job.model);
  job.output = shown_name(job.output);
}

}  // namespace

Job check_words(const std::vector<std::string>& words) {
  Job job;
  job.command = find_command(words.front());
  if (job.command == nullptr)
    throw bad_parameter("unknown command " + quoted(words.front()) +
                        suggestion(words.front(), command_names()) + " (see firesteel --help)");
  const Arguments arguments = parse_arguments(std::span(words).subspan(1), all_options());
  job.help = arguments.boolean("help", false);
  const bool takes_learner = job.command->positional.find("LEARNER") != std::string_view::npos;
  if (takes_learner && !arguments.positionals().empty() &&
      (arguments.unknown().empty() || find_learner(arguments.positionals().front()) != nullptr))
    job.entry = &learner_named(arguments.positionals().front());
  check_allowed(job, arguments);
  check_positionals(job, arguments);
  if (!job.help) set_values(job, arguments);
  if (!job.help) name_urls(job, arguments);
  return job;
}

}  // namespace firesteel::cli
