// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/commands.hpp"

#include <algorithm>

namespace firesteel::cli {

namespace {

using Kind = Option::Kind;

const std::vector<Option>& input_options() {
  static const std::vector<Option> options{
      {"input", Kind::list, "PATH...",
       "files, directories and globs, or URLs (http, https, s3, hdfs), read in the order given", ""},
      {"format", Kind::value, "csv|libsvm|hdf5|numpy|mtx|jsonl|parquet|arrow|orc|packed",
       "where extension and first bytes do not say it", "by the file"},
      {"label", Kind::value, "NAME", "label column: name or 0-based number, -1 is the last", "label"},
      {"features", Kind::value, "A,B,C", "feature columns: names, numbers, ranges 0-12",
       "every free numeric one"},
      {"exclude", Kind::value, "A,B", "columns that are no features", "none"},
      {"weight", Kind::value, "NAME", "column of row weights, >= 0; 0 is ignored for fitting", "none"},
      {"header", Kind::boolean, "", "the first line of CSV names the columns (--no-header)", "true"},
      {"delimiter", Kind::value, "C", "CSV: one character, or the words tab, space", ","},
      {"missing", Kind::value, "error|drop|mean",
       "missing feature values: refuse, drop the row, take the mean", "error"},
      {"zero-based", Kind::boolean, "", "LIBSVM indices count from 0", "false"},
      {"num-features", Kind::value, "N", "LIBSVM: number of columns", "largest index"},
      {"user", Kind::value, "NAME", "ALS: column of user ids", "user"},
      {"item", Kind::value, "NAME", "ALS: column of item ids", "item"},
      {"rating", Kind::value, "NAME", "ALS: column of ratings", "rating"},
      {"dataset", Kind::value, "NAME", "HDF5, .npz: dataset or group of the features", "features"},
      {"precision", Kind::value, "double|single",
       "single: features and arithmetic within a row or 32 rows in float; the rest, and the model, double",
       "double"},
      {"threads", Kind::value, "N", "OpenMP threads of a rank", "CPUs / ranks of the node"},
      {"peer-timeout", Kind::value, "S", "end the job when a rank is silent for S seconds; 0 waits for ever",
       "30"},
      {"stall-seconds", Kind::value, "S", "say which rank the others wait for after S seconds; 0 never",
       "60"},
      {"seed", Kind::value, "N", "0 ... 2^64-1: everything random derives from it", "0"}};
  return options;
}

constexpr std::string_view kDescribeLesson =
    "firesteel describe data/                        a directory of files is one data set\n"
    "firesteel describe a.csv --json | jq .rows      the same as one JSON object\n"
    "firesteel --ranks 8 describe big.parquet        every rank reads its share; the numbers are the same\n\n"
    "Numbers: values, missing, mean, sd (of a sample), min, max, zeros, quantiles (exact up to 33,554,432\n"
    "numbers, beyond within 0.4 %). Texts: lengths in bytes. Texts and whole numbers: different values and\n"
    "the most frequent (exact up to 65,536 different ones, beyond their number is estimated).\n";

constexpr std::string_view kSampleLesson =
    "firesteel sample a.csv --fraction 0.1 --output tenth.csv      a tenth of the rows, exactly\n"
    "firesteel sample a.csv --rows 5 --output -                    five rows on the terminal\n"
    "firesteel sample a.csv --rows 1000 --seed 7 --output b.parquet   others, in another format\n\n"
    "The rows stay in their order. Which they are follows from --seed and the rows' numbers alone: the same\n"
    "ones on any number of ranks, and a smaller sample is part of a larger one. Files of columns (CSV, JSON\n"
    "lines, Parquet, Arrow, ORC) keep all columns, texts too; .h5, .npz, .libsvm and their like get\n"
    "features, label and weight as `convert` writes them.\n";

constexpr std::string_view kSplitLesson =
    "firesteel split a.csv --train 0.8 --output a.csv            writes a-train.csv and a-test.csv\n"
    "firesteel split a.csv --train 0.8 --output fit.h5,check.h5  under two names\n"
    "firesteel split a.csv --train 0.8 --stratify label --output a.csv   the same share of every class\n\n"
    "Each row is in exactly one of the two, in its order; rows are drawn as by `sample`.\n";

constexpr std::string_view kSortLesson =
    "firesteel sort a.csv --by age --output b.csv\n"
    "firesteel sort a.csv --by country,age:desc --output b.csv   within a country the oldest first\n"
    "firesteel --ranks 4 sort big.parquet --by id --memory 2G --scratch /local --output sorted.parquet\n"
    "firesteel sort a.svm --by label,f7 --output b.h5            sparse rows: label, weight, features f0, "
    "f1, ...\n\n"
    "Numbers by size, texts by their bytes, missing values (NaN too) last, descending too. Rows that are\n"
    "alike keep their order. What does not fit into --memory goes to --scratch.\n";

constexpr std::string_view kJoinLesson =
    "firesteel join a.csv b.csv --on id --output c.csv               rows whose id both have\n"
    "firesteel join a.csv b.csv --on id --how left --output c.csv    every row of a.csv\n"
    "firesteel join a.csv b.csv --on user=id,day --output c.csv      `user` of a.csv is `id` of b.csv\n"
    "firesteel join a.svm b.csv --on f0=id --output c.svm            sparse rows get the columns of a "
    "table\n\n"
    "Rows come in ascending order of the key, then in that of LEFT, then of RIGHT; all pairs of equal keys\n"
    "are there. A missing key equals nothing. Columns: those of LEFT, then those of RIGHT without keys; a\n"
    "name that both have gets _left and _right. What a side lacks is missing.\n";

/// Of the commands that read rows or ratings whole.
const std::vector<Option>& storage_options() {
  static const std::vector<Option> options{
      {"memory", Kind::value, "BYTES", "most memory of a rank: 300M, 2G (K M G T), at least 128M; or 60%",
       "80%"},
      {"scratch", Kind::value, "DIR", "directory of local disk for rows that do not fit", "$TMPDIR or /tmp"}};
  return options;
}

const std::vector<Option>& output_options() {
  static const std::vector<Option> options{
      {"json", Kind::boolean, "", "stdout carries exactly one JSON object", "false"},
      {"quiet", Kind::boolean, "", "no progress and no warnings on stderr", "false"},
      {"verbose", Kind::boolean, "", "every iteration and what was sent, on stderr", "false"}};
  return options;
}

const Option& input_option(std::string_view name) {
  const auto& options = input_options();
  return *std::find_if(options.begin(), options.end(), [&](const Option& o) { return o.name == name; });
}

void append(std::vector<Option>& options, const std::vector<Option>& more) {
  for (const auto& option : more)
    if (std::none_of(options.begin(), options.end(), [&](const Option& o) { return o.name == option.name; }))
      options.push_back(option);
}

Option option_of(const ParameterInfo& parameter) {
  const bool boolean = parameter.type == ParameterInfo::Type::boolean;
  const std::string range = parameter.accepts.empty() || boolean ? "" : " (" + parameter.accepts + ")";
  std::string value_name;
  if (parameter.type == ParameterInfo::Type::matrix)
    value_name = "FILE";
  else if (parameter.type == ParameterInfo::Type::choice)
    value_name = "WORD";
  else if (parameter.type == ParameterInfo::Type::reals)
    value_name = "X,Y,...";
  else if (!boolean)
    value_name = parameter.type == ParameterInfo::Type::real ? "X" : "N";
  return {parameter_option(parameter), boolean ? Kind::boolean : Kind::value, value_name,
          parameter.text + range, parameter.value};
}

/// The options of reading that a verb of rows has a use for, and its own.
std::vector<Option> row_verb_options(Verb verb) {
  static constexpr std::string_view kDescribe[] = {"format",    "label",        "weight",       "header",
                                                   "delimiter", "zero-based",   "num-features", "dataset",
                                                   "threads",   "peer-timeout", "stall-seconds"};
  static constexpr std::string_view kOfRatings[] = {"user", "item", "rating"};
  const bool draws = verb == Verb::sample || verb == Verb::split;
  std::vector<Option> options;
  for (const auto& option : input_options()) {
    const auto among = [&](const auto& list) {
      return std::find(std::begin(list), std::end(list), option.name) != std::end(list);
    };
    if (verb == Verb::describe ? !among(kDescribe) && option.name != "input" : among(kOfRatings)) continue;
    if (verb == Verb::join && option.name == "input") continue;  // LEFT and RIGHT
    if (option.name == "seed" && !draws) continue;
    options.push_back(option);
    if (option.name == "missing") {
      options.back().value_name = "error|drop";
      options.back().text = "missing values, where rows of features are written: refuse, drop the row";
    }
    if (option.name == "input") options.back().text = "as DATA: files, directories and globs";
  }
  if (verb != Verb::describe) {
    append(options, storage_options());
    options.push_back({"output", Kind::value, "FILE",
                       "by extension, as `convert`; - is CSV on stdout; NAME.csv/ is a directory of parts",
                       ""});
  }
  if (verb == Verb::describe)
    options.push_back({"top", Kind::value, "N", "most frequent values to show", "5"});
  if (verb == Verb::sample) {
    options.push_back({"fraction", Kind::value, "F", "share of the rows, above 0 and up to 1", ""});
    options.push_back({"rows", Kind::value, "N", "or so many rows", ""});
  }
  if (verb == Verb::split) {
    options.back().text = "NAME.csv makes NAME-train.csv and NAME-test.csv; or two names, TRAIN,TEST";
    options.push_back({"train", Kind::value, "SHARE", "of the rows to train on, between 0 and 1", ""});
    options.push_back(
        {"stratify", Kind::value, "COLUMN", "the same share of the rows with each of its values", "none"});
  }
  if (verb == Verb::sort)
    options.push_back({"by", Kind::value, "A,B:desc", "columns, the first counts most; :desc descends", ""});
  if (verb == Verb::join) {
    options.push_back({"on", Kind::value, "A,B=C", "key columns; B=C where the names differ", ""});
    options.push_back({"how", Kind::value, "inner|left|right|full",
                       "rows without a partner: of neither side, of LEFT, of RIGHT, of both", "inner"});
  }
  return options;
}

bool has_option(const std::vector<Option>& options, std::string_view name) {
  return std::any_of(options.begin(), options.end(), [&](const Option& o) { return o.name == name; });
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> table{
      {Verb::train, "train", "LEARNER --input PATH... --output MODEL [options]", "fit and save a model",
       "LEARNER", "firesteel train logistic --input day1.csv day2.csv --label clicked --output clicks.h5"},
      {Verb::score, "score", "MODEL --input PATH... --output FILE [options]",
       "one prediction per input row, in input order", "MODEL",
       "firesteel score clicks.h5 --input day3.csv --keep id --output predictions.csv"},
      {Verb::evaluate, "evaluate", "MODEL --input PATH... [options]", "metrics of a model on labelled data",
       "MODEL", "firesteel evaluate clicks.h5 --input day3.csv --label clicked --json"},
      {Verb::inspect, "inspect", "MODEL [options]", "what is in a model file", "MODEL",
       "firesteel inspect clicks.h5"},
      {Verb::convert, "convert", "--input PATH... --output FILE [options]", "between the data formats",
       "[DATA... FILE]", "firesteel convert --input 'day*.csv' --label clicked --output days.h5"},
      {Verb::learners, "learners", "[LEARNER] [--json]",
       "the learners; one learner's parameters, with defaults", "[LEARNER]", "firesteel learners kmeans"},
      {Verb::doctor, "doctor", "[--checkpoint DIR] [options]", "checks this machine and names remedies", "",
       "firesteel doctor --checkpoint saved"},
      {Verb::plan, "plan", "LEARNER --input PATH... [options of train]",
       "what `train` would take: rows, memory, what goes to scratch, time a pass", "LEARNER",
       "firesteel plan kmeans --input points.h5 --k 100 --memory 2G"},
      {Verb::describe, "describe", "DATA... [options]",
       "what is in data: columns, missing values, means, quantiles, top values", "DATA...",
       "firesteel describe day1.csv", kDescribeLesson},
      {Verb::sample, "sample", "DATA... --fraction F | --rows N --output FILE [options]",
       "some rows at random, by seed and row number", "DATA...",
       "firesteel sample 'day*.csv' --rows 1000 --output few.csv", kSampleLesson},
      {Verb::split, "split", "DATA... --train SHARE --output NAME | TRAIN,TEST [options]",
       "rows to train on and rows to test with, at random", "DATA...",
       "firesteel split iris.csv --train 0.8 --stratify species --output iris.csv", kSplitLesson},
      {Verb::sort, "sort", "DATA... --by COLUMN[:desc],... --output FILE [options]",
       "rows in the order of columns", "DATA...",
       "firesteel sort trades.parquet --by day,price:desc --output sorted.parquet", kSortLesson},
      {Verb::join, "join", "LEFT RIGHT --on KEY,... --output FILE [options]",
       "rows of two data sets that have the same key", "LEFT RIGHT",
       "firesteel join clicks.csv users.parquet --on user --how left --output wide.parquet", kJoinLesson}};
  return table;
}

const Command* find_command(std::string_view name) {
  const auto& table = commands();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Command& c) { return c.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const auto& command : commands()) names.emplace_back(command.name);
  return names;
}

std::vector<std::string> learner_names() {
  std::vector<std::string> names;
  for (const auto& learner : learners()) names.emplace_back(learner.name);
  return names;
}

std::string parameter_option(const ParameterInfo& parameter) {
  const std::string name = option_name(parameter.name).substr(2);
  return parameter.type == ParameterInfo::Type::matrix ? name + "-file" : name;
}

bool works_on_rows(Verb verb) {
  return verb == Verb::describe || verb == Verb::sample || verb == Verb::split || verb == Verb::sort ||
         verb == Verb::join;
}

std::vector<Option> command_options(Verb verb) {
  std::vector<Option> options;
  if (works_on_rows(verb))
    append(options, row_verb_options(verb));
  else if (verb != Verb::inspect && verb != Verb::learners && verb != Verb::doctor)
    append(options, input_options());
  if (verb == Verb::score || verb == Verb::evaluate)
    for (auto& option : options)
      if (option.name == "features" || option.name == "missing") option.default_text = "the model's";
  if (verb == Verb::doctor)
    append(options, {{"checkpoint", Kind::value, "DIR", "a directory that will hold checkpoints", "none"},
                     input_option("threads")});
  const bool trains = verb == Verb::train || verb == Verb::plan;
  if (trains || verb == Verb::score || verb == Verb::evaluate || verb == Verb::convert)
    append(options, storage_options());
  if (trains)
    append(
        options,
        {{"output", Kind::value, "MODEL", "the model file to write (.h5); a path, s3:// or hdfs://", ""},
         {"checkpoint", Kind::value, "DIR", "save the state of the fit here, the last two of it", "none"},
         {"checkpoint-every", Kind::value, "N", "iterations between two checkpoints", "1"},
         {"checkpoint-seconds", Kind::value, "S", "seconds between two checkpoints", "none"},
         {"resume", Kind::boolean, "", "go on from the newest checkpoint in DIR, if there is one", "false"},
         {"on-failure", Kind::value, "WORD",
          "when a rank dies: end the job, or shrink it to the others, which go on (end, shrink)", "end"},
         {"heartbeat", Kind::value, "FILE", "how the job is, as JSON, rewritten once a second", "none"}});
  if (verb == Verb::score)
    append(options,
           {{"output", Kind::value, "FILE",
             "predictions: .csv, .tsv, .h5, at a path, s3:// or hdfs://; - is CSV on stdout; NAME.csv/ is a "
             "directory of parts",
             ""},
            {"keep", Kind::value, "A,B", "input columns to copy in front of the predictions", "none"},
            {"top", Kind::value, "N", "recommend the N best, instead of predicting rows of --input", ""},
            {"for", Kind::value, "user|item", "with --top: items for every user, or users for every item",
             "user"}});
  if (verb == Verb::convert)
    options.push_back(
        {"output", Kind::value, "FILE",
         "by extension: .csv, .libsvm, .h5, .npz, .npy, .mtx, .jsonl, .parquet, .arrow, .orc, .fsp; "
         "NAME.csv/ is a directory of parts, one a rank",
         ""});
  if (verb == Verb::learners)
    options.push_back(output_options().front());
  else
    append(options, output_options());
  options.push_back({"help", Kind::boolean, "", "this text", ""});
  return options;
}

std::vector<Option> learner_options(const LearnerEntry& learner) {
  std::vector<Option> options;
  const auto fresh = learner.make();
  for (const auto& parameter : parameters_of(*fresh))
    if (!has_option(input_options(), parameter_option(parameter))) options.push_back(option_of(parameter));
  return options;
}

std::vector<Option> scoring_options() {
  std::vector<Option> options;
  for (const auto& learner : learners()) {
    ParameterLister lister;
    learner.describe_scoring(lister);
    for (const auto& parameter : lister.list) append(options, {option_of(parameter)});
  }
  return options;
}

std::vector<Option> all_options() {
  std::vector<Option> options;
  for (const auto& command : commands()) append(options, command_options(command.verb));
  for (const auto& learner : learners()) append(options, learner_options(learner));
  return options;
}

std::string where_known(std::string_view option) {
  std::string places;
  const auto add = [&](const std::string& place) { places += (places.empty() ? "" : ", ") + place; };
  for (const auto& command : commands())
    if (has_option(command_options(command.verb), option)) add("'" + std::string(command.name) + "'");
  for (const auto& learner : learners())
    if (has_option(learner_options(learner), option)) add("learner '" + std::string(learner.name) + "'");
  return places.empty() ? places : "an option of " + places;
}

}  // namespace firesteel::cli
