// SPDX-License-Identifier: Apache-2.0
// The library as a contestant of bench/run: holds data in memory and fits on request. Speaks JSON lines, one
// request and one answer a line, with rank 0; runs alone or under mpirun. Requests, by "op":
// (requests name the data they load or fit by "slot")
//   rows       path, single, labels (required or ignored), threads → seconds, rows, columns, column_sums
//   ratings    path                                              → seconds, rows
//   fit        learner, threads, parameters (texts), init ([k][d] numbers), model (path to write)
//              → seconds, iterations, objective, iteration_seconds
//   recommend  top, path (raw int64 item ids of the first users) → seconds, rows
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "firesteel/algorithms/learner.hpp"
#include "firesteel/core/context.hpp"
#include "firesteel/io/model_file.hpp"
#include "firesteel/io/read_options.hpp"

namespace {

using namespace firesteel;
using Json = nlohmann::json;

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class IterationTimes final : public Monitor {
 public:
  std::vector<double> seconds;
  void iteration(const IterationReport& report) override { seconds.push_back(report.seconds); }
};

class InitFiller final : public ParameterVisitor {
 public:
  explicit InitFiller(const Json& rows) : rows_(rows) {}
  void matrix(std::string_view, Matrix& value, std::string_view) override {
    value = {static_cast<Index>(rows_.size()), static_cast<Index>(rows_.at(0).size()), {}};
    for (const auto& row : rows_)
      for (const auto& number : row) value.values.push_back(number.get<double>());
  }
  void integer(std::string_view, Index&, Range, std::string_view) override {}
  void real(std::string_view, double&, Range, std::string_view) override {}
  void boolean(std::string_view, bool&, std::string_view) override {}
  void choice(std::string_view, std::string&, const std::vector<std::string>&, std::string_view) override {}
  void reals(std::string_view, std::vector<double>&, Range, std::string_view) override {}
  void seed(std::string_view, std::uint64_t&, std::string_view) override {}

 private:
  const Json& rows_;
};

class Worker {
 public:
  Json answer(const Json& request) {
    const auto op = request.at("op").get<std::string>();
    times_ = std::make_shared<IterationTimes>();
    const Context context({.threads = request.value("threads", 1), .monitor = times_});
    if (op == "rows") return load_rows(context, request);
    if (op == "ratings") return load_ratings(context, request);
    if (op == "fit") return fit(context, request);
    if (op == "recommend") return recommend(context, request);
    throw bad_parameter("unknown request '" + op + "'");
  }

 private:
  LearnerData& slot(const Json& request) { return slots_[request.value("slot", "")]; }

  Json load_rows(const Context& context, const Json& request) {
    LearnerData& data = slot(request);
    data = RowBlocks{.context = context};  // frees what was there, so that the first touch is counted
    ReadOptions options;
    options.inputs = {request.at("path").get<std::string>()};
    options.single_precision = request.value("single", false);
    options.label_use = request.value("labels", "required") == "ignored" ? ReadOptions::Label::ignored
                                                                         : ReadOptions::Label::required;
    const Stopwatch watch;
    data = read_rows(context, options).rows;
    const double seconds = watch.seconds();
    const auto& rows = std::get<RowBlocks>(data);
    Json result{{"seconds", seconds}, {"rows", rows.rows_used}, {"columns", rows.columns()}};
    if (request.value("sums", false)) result["column_sums"] = column_sums(rows);
    return result;
  }

  /// Of this rank's rows, to compare readers by.
  static std::vector<double> column_sums(const RowBlocks& rows) {
    std::vector<double> sums(static_cast<std::size_t>(rows.columns()));
    const auto add = [&](const auto& storage) {
      if constexpr (requires { storage.tile(0); }) {
        for (Index row = 0; row < storage.local_rows(); ++row)
          for (Index column = 0; column < storage.columns(); ++column)
            sums[static_cast<std::size_t>(column)] += static_cast<double>(storage.at(row, column));
      } else {
        for (std::size_t i = 0; i < storage.indices.size(); ++i)
          sums[static_cast<std::size_t>(storage.indices[i])] += static_cast<double>(storage.values[i]);
      }
    };
    std::visit(add, rows.features);
    return sums;
  }

  Json load_ratings(const Context& context, const Json& request) {
    ReadOptions options;
    options.inputs = {request.at("path").get<std::string>()};
    options.single_precision = request.value("single", false);
    LearnerData& data = slot(request);
    const Stopwatch watch;
    data = read_ratings(context, options).ratings;
    return {{"seconds", watch.seconds()}, {"rows", std::get<Ratings>(data).rows}};
  }

  Json fit(const Context& context, const Json& request) {
    LearnerData& data = slot(request);
    std::visit([&](auto& rows) { rows.context = context; }, data);
    const auto learner = find_learner(request.at("learner").get<std::string>())->make();
    for (const auto& [name, value] : request.at("parameters").items())
      if (!set_parameter(*learner, name, value.get<std::string>()))
        throw bad_parameter("the learner has no parameter '" + name + "'");
    if (request.contains("init")) {
      InitFiller filler(request["init"]);
      learner->describe(filler);
    }
    const Stopwatch watch;
    model_ = learner->fit(data);
    const double seconds = watch.seconds();
    if (request.contains("model"))
      write_model(context, model_->to_record(), request["model"].get<std::string>());
    const auto& summary = model_->summary();
    return {{"seconds", seconds},
            {"iterations", summary.iterations},
            {"objective", summary.objective},
            {"iteration_seconds", times_->seconds}};
  }

  Json recommend(const Context& context, const Json& request) {
    const Stopwatch watch;
    const auto table = model_->recommend(context, request.at("top").get<Index>(), false);
    const double seconds = watch.seconds();
    const auto& items = std::get<std::vector<std::int64_t>>(table.columns.at(1).values);
    if (context.rank() == 0) {
      std::ofstream file(request.at("path").get<std::string>(), std::ios::binary);
      file.write(reinterpret_cast<const char*>(items.data()),
                 static_cast<std::streamsize>(items.size() * sizeof(std::int64_t)));
    }
    return {{"seconds", seconds}, {"rows", context.comm().sum(table.local_rows())}};
  }

  std::map<std::string, LearnerData> slots_;
  std::unique_ptr<AnyModel> model_;
  std::shared_ptr<IterationTimes> times_;
};

}  // namespace

int main() {
  const Context context({.threads = 1});
  Worker worker;
  for (;;) {
    std::string line;
    if (context.rank() == 0 && !std::getline(std::cin, line)) line.clear();
    line = context.comm().broadcast_text(line, 0);
    if (line.empty()) return 0;
    Json answer;
    try {
      answer = worker.answer(Json::parse(line));
    } catch (const std::exception& failure) {
      answer = {{"error", failure.what()}};
    }
    if (context.rank() == 0) std::cout << answer.dump() << std::endl;
  }
}
