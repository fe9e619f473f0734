// SPDX-License-Identifier: Apache-2.0
// What a model file says, with its digest right: fitted models whose entries are changed, then loaded, used
// and written down again. A learner refuses them or works within what they hold.
#include <array>

#include "firesteel/algorithms/learner.hpp"
#include "firesteel/core/error.hpp"
#include "rows.hpp"
#include "support.hpp"

using namespace firesteel;

namespace {

RowInput read(const std::string& text, const FeatureSchema* expected, Index features,
              const std::string& format, const std::string& missing) {
  static const fuzz::MemoryFile file(900);
  file.write(text);
  ReadOptions options{.inputs = {file.path()}, .format = format};
  options.missing = missing;
  options.label_use = ReadOptions::Label::optional;
  options.expected = expected;
  options.expected_features = features;
  return read_rows(fuzz::everyone(), options);
}

Ratings ratings(bool texts) {
  Ratings made{.context = fuzz::everyone(), .rows = 6, .first_row = 0};
  const auto& comm = fuzz::everyone().comm();
  if (comm.rank() > 0) made.first_row = 6;
  const bool own = comm.rank() == 0;
  if (texts)
    made.users = own ? std::vector<std::string>{"a", "b", "c", "a", "b", "z"} : std::vector<std::string>{};
  else
    made.users = own ? std::vector<std::int64_t>{1, 2, 3, 1, 2, 9} : std::vector<std::int64_t>{};
  made.items = own ? std::vector<std::int64_t>{1, 1, 2, 2, 3, 3} : std::vector<std::int64_t>{};
  if (own) made.ratings = {1, 2, 3, 4, 5, 1};
  made.has_ratings = true;
  return made;
}

constexpr const char* kTwoClasses = "a,b,label\n1,2,0\n3,1,1\n2,2,0\n4,0,1\n2,1,1\n";
constexpr const char* kThreeClasses = "a,b,label\n1,2,x\n3,1,y\n2,2,z\n4,0,y\n2,1,x\n";

/// The models that inputs start from, fitted once.
const std::vector<Record>& fitted() {
  static const std::vector<Record> records = [] {
    std::vector<Record> made;
    const auto fit = [&](const char* learner, const LearnerData& data) {
      const auto entry = find_learner(learner)->make();
      for (const auto& [name, value] : {std::pair("max_iter", "3"), {"reg_param", "0.1"}, {"rank", "2"}})
        set_parameter(*entry, name, value);
      made.push_back(entry->fit(data)->to_record());
    };
    fit("kmeans", read(kTwoClasses, nullptr, 0, "csv", "error").rows);
    fit("kmeans", read("1 1:1 3:2\n0 2:3\n1 3:1\n", nullptr, 0, "libsvm", "error").rows);
    fit("logistic", read(kTwoClasses, nullptr, 0, "csv", "mean").rows);
    fit("logistic", read(kThreeClasses, nullptr, 0, "csv", "error").rows);
    fit("als", ratings(false));
    fit("als", ratings(true));
    fuzz::take_warnings();
    return made;
  }();
  return records;
}

Index hostile_extent(fuzz::Choices& choices) {
  static constexpr Index kExtents[] = {
      0, 1, 2, 3, 4, 5, 1000, Index{1} << 31, Index{1} << 40, Index{1} << 62};
  return choices.one_of(kExtents);
}
std::int64_t hostile_whole(fuzz::Choices& choices) {
  static constexpr std::int64_t kValues[] = {0,
                                             1,
                                             2,
                                             -1,
                                             3,
                                             7,
                                             1 << 20,
                                             std::int64_t{1} << 32,
                                             std::int64_t{1} << 62,
                                             std::numeric_limits<std::int64_t>::max(),
                                             std::numeric_limits<std::int64_t>::min()};
  return choices.one_of(kValues);
}
double hostile_real(fuzz::Choices& choices) {
  static constexpr double kValues[] = {0,      1,      -1,      0.5,      1e-300, 1e300,
                                       -1e300, 5e-324, 1.7e308, -1.7e308, 2,      1e6};
  return choices.one_of(kValues);
}
std::string hostile_text(fuzz::Choices& choices) {
  static constexpr const char* kTexts[] = {"",     "a",     "b",   "cosine", "euclidean", "mean",
                                           "drop", "error", "nan", "kmeans", "als"};
  return choices.one_of(kTexts);
}

/// As many values as the shape says, while that is few: a file cannot hold others.
template <class T, class Value>
RecordArray<T> hostile_array(fuzz::Choices& choices, Value&& value) {
  RecordArray<T> array;
  array.shape.resize(choices.below(4));
  Index count = 1;
  for (auto& extent : array.shape) {
    extent = hostile_extent(choices);
    count = extent != 0 && count > 1000 / extent ? 1001 : count * extent;
  }
  if (count > 1000) {  // one extent of 0 lets the others be anything
    array.shape.back() = 0;
    count = 0;
  }
  const std::size_t different = 1 + choices.below(6);
  std::vector<T> values;
  for (std::size_t i = 0; i < different; ++i) values.push_back(value(choices));
  for (Index i = 0; i < count; ++i) array.values.push_back(values[static_cast<std::size_t>(i) % different]);
  return array;
}

RecordValue hostile_value(fuzz::Choices& choices) {
  switch (choices.below(8)) {
    case 0:
      return choices.flag();
    case 1:
      return hostile_whole(choices);
    case 2:
      return static_cast<std::uint64_t>(hostile_whole(choices));
    case 3:
      return hostile_real(choices);
    case 4:
      return hostile_text(choices);
    case 5:
      return hostile_array<double>(choices, hostile_real);
    case 6:
      return hostile_array<std::int64_t>(choices, hostile_whole);
    default:
      return hostile_array<std::string>(choices, hostile_text);
  }
}

/// Changes a value, but not its type and shape.
void nudge(fuzz::Choices& choices, RecordValue& value) {
  std::visit(
      [&](auto& typed) {
        using T = std::decay_t<decltype(typed)>;
        if constexpr (std::is_same_v<T, bool>)
          typed = !typed;
        else if constexpr (std::is_integral_v<T>)
          typed = static_cast<T>(hostile_whole(choices));
        else if constexpr (std::is_same_v<T, double>)
          typed = hostile_real(choices);
        else if constexpr (std::is_same_v<T, std::string>)
          typed = hostile_text(choices);
        else if (!typed.values.empty()) {
          auto& one = typed.values[choices.below(typed.values.size())];
          if constexpr (std::is_same_v<T, RecordArray<double>>)
            one = hostile_real(choices);
          else if constexpr (std::is_same_v<T, RecordArray<std::int64_t>>)
            one = hostile_whole(choices);
          else
            one = hostile_text(choices);
        }
      },
      value);
}

Record changed(const Record& from, fuzz::Choices& choices) {
  auto entries = from.entries();
  for (int change = 0; change < 6 && !choices.empty() && !entries.empty(); ++change) {
    const std::size_t which = choices.below(entries.size());
    switch (choices.below(4)) {
      case 0:
        entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(which));
        break;
      case 1:
        entries[which].second = hostile_value(choices);
        break;
      case 2:
        nudge(choices, entries[which].second);
        break;
      default:
        entries[which].second = entries[choices.below(entries.size())].second;
    }
  }
  Record record;
  for (auto& [name, value] : entries) record.set(name, std::move(value));
  return record;
}

template <class Use>
void attempt(Use&& use) {
  fuzz::outcome([&] {
    use();
    return std::string();
  });
}

void use(AnyModel& model, std::string_view learner) {
  if (learner == "als") {
    for (const bool texts : {false, true}) {
      attempt([&] { model.predict(ratings(texts)); });
      attempt([&] { model.evaluate(ratings(texts)); });
    }
    for (const bool items : {false, true}) attempt([&] { model.recommend(fuzz::everyone(), 2, items); });
    return;
  }
  const auto rows = [&](const char* text, const char* format, const std::string& missing, bool scoring) {
    attempt([&] {
      const auto input =
          read(text, scoring ? &model.schema() : nullptr, scoring ? model.features() : 0, format, missing);
      attempt([&] { model.predict(input.rows); });
      attempt([&] { model.evaluate(input.rows); });
    });
  };
  rows(kTwoClasses, "csv", "error", true);
  rows("b,a,label\n1,2,x\n,1,y\n", "csv", model.schema().missing, true);
  rows(kThreeClasses, "csv", "error", false);
  rows("1 1:1 3:2\n0 2:3\n", "libsvm", "error", true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(data, size);
  const Record record = changed(fitted()[choices.below(fitted().size())], choices);
  attempt([&] {
    const auto& learner = record.get<std::string>("learner");
    const LearnerEntry* entry = find_learner(learner);
    if (entry == nullptr) return;
    const auto model = entry->load(record);
    use(*model, learner);
    model->to_record().sha256();
  });
  fuzz::take_warnings();
  return 0;
}
