// SPDX-License-Identifier: Apache-2.0
// JSON lines: one object a line, its members the columns.
#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "firesteel/core/parallel.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/io/csv_fields.hpp"
#include "firesteel/io/json_fault.hpp"
#include "firesteel/io/quoted.hpp"
#include "firesteel/io/table.hpp"
#include "firesteel/io/text_index.hpp"

namespace firesteel {

namespace {

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// Hears the members of one object; what lies deeper is passed over.
class MemberListener {
 public:
  virtual ~MemberListener() = default;
  virtual void missing(const std::string& key) = 0;
  virtual void whole(const std::string& key, std::int64_t value) = 0;
  virtual void real(const std::string& key, double value) = 0;
  virtual void text(const std::string& key, const std::string& value) = 0;
  virtual void other(const std::string& key) = 0;
};

/// nlohmann's events, reduced to those of the outermost object.
class Events {
 public:
  using json = nlohmann::json;

  explicit Events(MemberListener& listener) : listener_(listener) {}

  bool null() {
    return value([&] { listener_.missing(key_); });
  }
  bool boolean(bool v) {
    return value([&] { listener_.whole(key_, v ? 1 : 0); });
  }
  bool number_integer(json::number_integer_t v) {
    return value([&] { listener_.whole(key_, v); });
  }
  bool number_unsigned(json::number_unsigned_t v) {
    return value([&] {
      if (v <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        listener_.whole(key_, static_cast<std::int64_t>(v));
      else
        listener_.real(key_, static_cast<double>(v));
    });
  }
  bool number_float(json::number_float_t v, const json::string_t&) {
    return value([&] { listener_.real(key_, v); });
  }
  bool string(json::string_t& v) {
    return value([&] { listener_.text(key_, v); });
  }
  bool binary(json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(); }
  bool end_object() {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) {
    if (depth_ == 0) return false;
    return open();
  }
  bool end_array() {
    --depth_;
    return true;
  }
  bool key(json::string_t& k) {
    if (depth_ == 1) key_ = k;
    return true;
  }
  bool parse_error(std::size_t position, const std::string& token, const json::exception& exception) {
    fault = json_fault(position, token, exception.what(), depth_ > 0 ? key_ : std::string());
    return false;
  }

  std::string fault;

 private:
  bool open() {
    if (depth_ == 1) listener_.other(key_);
    ++depth_;
    return true;
  }
  template <class Tell>
  bool value(Tell&& tell) {
    if (depth_ == 0) return false;  // no object
    if (depth_ == 1) tell();
    return true;
  }

  MemberListener& listener_;
  std::string key_;
  int depth_ = 0;
};

/// What the first look at a column finds.
struct FoundColumn {
  Index row = 0;    ///< where it comes first
  Index place = 0;  ///< among the members of that row
  Index given = 0;  ///< rows in which it is a value
  bool whole = false;
  bool real = false;
  bool text = false;
  bool other = false;
};

using FoundColumns = std::map<std::string, FoundColumn>;

class ColumnFinder final : public MemberListener {
 public:
  explicit ColumnFinder(FoundColumns& found) : found_(found) {}
  void begin(Index row) {
    row_ = row;
    place_ = 0;
  }
  void missing(const std::string& key) override { column(key); }
  void whole(const std::string& key, std::int64_t) override { value(key).whole = true; }
  void real(const std::string& key, double) override { value(key).real = true; }
  void text(const std::string& key, const std::string&) override { value(key).text = true; }
  void other(const std::string& key) override { column(key).other = true; }

 private:
  FoundColumn& column(const std::string& key) {
    const auto [it, fresh] = found_.try_emplace(key, FoundColumn{.row = row_, .place = place_});
    ++place_;
    return it->second;
  }
  FoundColumn& value(const std::string& key) {
    FoundColumn& found = column(key);
    ++found.given;
    return found;
  }

  FoundColumns& found_;
  Index row_ = 0;
  Index place_ = 0;
};

/// Puts members into the columns that are wanted, some rows at a time.
class ColumnFiller final : public MemberListener {
 public:
  ColumnFiller(const std::vector<TableColumn>& columns, std::span<const WantedColumn> wanted)
      : values(wanted.size()), given_(wanted.size(), -1) {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const TableColumn& column = columns[size(wanted[i].column)];
      places_[column.name].push_back(i);
      if (column.kind == TableKind::text)
        values[i].values = std::vector<std::string>();
      else if (column.kind == TableKind::whole && wanted[i].want == TableWant::as_it_is)
        values[i].values = std::vector<std::int64_t>();
      else
        values[i].values = std::vector<double>();
    }
  }
  /// The rows [first, first + rows) come next; the values of those before are gone.
  void begin_rows(Index first, Index rows) {
    first_ = first;
    for (auto& column : values) {
      column.missing.assign(size(rows), 1);
      std::visit(
          [&](auto& all) {
            all.clear();
            all.resize(size(rows));
          },
          column.values);
    }
  }
  void begin(Index row) { row_ = row; }
  /// The first column that a row gives twice; empty: none.
  const std::string& twice() const { return twice_; }

  void missing(const std::string& key) override {
    for_places(key, [](TableValues&) {});
  }
  void whole(const std::string& key, std::int64_t value) override {
    put(key, value, [&] { return std::to_string(value); });
  }
  void real(const std::string& key, double value) override {
    put(key, value, [&] { return number_text(value); });
  }
  void text(const std::string& key, const std::string& value) override {
    for_places(key, [&](TableValues& column) {
      if (auto* texts = std::get_if<std::vector<std::string>>(&column.values)) (*texts)[place()] = value;
      column.missing[place()] = 0;
    });
  }
  void other(const std::string& key) override {
    for_places(key, [](TableValues&) {});
  }

  std::vector<TableValues> values;

 private:
  template <class Put>
  void for_places(const std::string& key, Put&& put) {
    const auto found = places_.find(key);
    if (found == places_.end()) return;
    for (const std::size_t i : found->second) {
      if (given_[i] == row_ && twice_.empty()) twice_ = key;
      given_[i] = row_;
      put(values[i]);
    }
  }
  template <class Value, class AsText>
  void put(const std::string& key, Value value, AsText&& as_text) {
    for_places(key, [&](TableValues& column) {
      std::visit(
          [&](auto& all) {
            using Stored = typename std::decay_t<decltype(all)>::value_type;
            if constexpr (std::is_same_v<Stored, std::string>)
              all[place()] = as_text();
            else
              all[place()] = static_cast<Stored>(value);
          },
          column.values);
      column.missing[place()] = 0;
    });
  }

  std::size_t place() const { return size(row_ - first_); }

  std::map<std::string, std::vector<std::size_t>, std::less<>> places_;
  std::vector<Index> given_;  ///< of each column, the last row that has it
  std::string twice_;
  Index first_ = 0;
  Index row_ = 0;
};

class JsonTable final : public Table {
 public:
  JsonTable(const Context& context, const InputFiles& inputs) : Table(inputs.paths, inputs) {
    files_ = open_text_files(context, inputs.paths);
    index_ = index_text(context, files_, {.delimiter = ',', .quotes = false});
    context.comm().collectively([&] {
      for (Index file = 0; file < files_.count(); ++file)
        if (index_.file_rows[size(file)] == 0) throw bad_input(files_.path(file) + " is empty", {file, 0});
    });
    for (std::size_t i = 0; i < index_.extents.size(); ++i) {
      const TextExtent& extent = index_.extents[i];
      if (extent.rows > 0)
        parts.push_back({.file = extent.file,
                         .place = static_cast<Index>(i),
                         .first_row = extent.first_row,
                         .rows = extent.rows});
    }
    find_columns(context);
    rows_at_once = rows_of_cells(static_cast<Index>(columns.size()));
  }

  void read_part(const TablePart& part, Index first_row, Index end_row, std::span<const WantedColumn> wanted,
                 Sink sink) const override {
    const Index first = std::max(first_row, part.first_row);
    const Index end = std::min(end_row, part.first_row + part.rows);
    ColumnFiller filler(columns, wanted);
    Index begun = first;  // rows before it are with the sink
    Index reached = first;
    const auto hand_on = [&](Index until) {
      const Index from = std::exchange(begun, std::max(begun, until));
      if (until > from) sink(from, until - from, filler.values);
    };
    try {
      for_lines(
          part, first, end, filler,
          [&](Index row, std::string_view) {
            if (row == first || row - begun == rows_at_once) {
              hand_on(row);
              filler.begin_rows(row, std::min(rows_at_once, end - row));
            }
            reached = row;
            filler.begin(row);
          },
          [&] {
            return filler.twice().empty() ? std::string()
                                          : "member " + firesteel::quoted(filler.twice()) + " is given twice";
          });
    } catch (const Error&) {
      // What is wrong with rows before this one comes first. Where the sink threw, nothing is left for it.
      hand_on(reached);
      throw;
    }
    hand_on(end);
  }

  std::string where(const TablePart& part, Index row) const override {
    const TextExtent& extent = index_.extents[size(part.place)];
    TextReader reader(files_);
    const auto text = reader.read(extent.file, extent.begin, extent.end);
    const char* const end = text.data() + text.size();
    const char* line = next_record(skip_records(text.data(), end, row - extent.first_row, index_.dialect),
                                   end, index_.dialect);
    return place_of(extent, line - text.data());
  }

 private:
  std::string place_of(const TextExtent& extent, Index offset) const {
    return files_.path(extent.file) + ":" +
           std::to_string(line_of(files_, index_, extent.file, extent.begin + offset));
  }

  /// Parses the lines of the global rows [first, end) of a part: begin(row, line) before each, fault() after.
  template <class Begin, class Fault>
  void for_lines(const TablePart& part, Index first, Index end, MemberListener& listener, Begin&& begin,
                 Fault&& fault) const {
    const TextExtent& extent = index_.extents[size(part.place)];
    TextReader reader(files_);
    const auto text = reader.read(extent.file, extent.begin, extent.end);
    const char* const text_end = text.data() + text.size();
    const char* p = skip_records(text.data(), text_end, first - extent.first_row, index_.dialect);
    for (Index row = first; row < end; ++row) {
      p = next_record(p, text_end, index_.dialect);
      const auto* line_end = static_cast<const char*>(std::memchr(p, '\n', size(text_end - p + 1)));
      begin(row, std::string_view(p, size(line_end - p)));
      Events events(listener);
      const bool parsed = nlohmann::json::sax_parse(p, line_end, &events);
      const std::string found = parsed ? fault() : events.fault;
      if (!parsed || !found.empty())
        throw bad_input(
            place_of(extent, p - text.data()) + ": " + (found.empty() ? "expected an object {...}" : found),
            {extent.file, extent.begin + (p - text.data())});
      p = std::min(line_end + 1, text_end);
    }
  }

  void find_columns(const Context& context) {
    Communicator& comm = context.comm();
    const auto count = static_cast<Index>(parts.size());
    const Index begin = count * comm.rank() / comm.size();
    const Index end = count * (comm.rank() + 1) / comm.size();
    FoundColumns own;
    comm.collectively([&] {
      std::mutex mutex;
      parallel_for(context.threads(), end - begin, [&](Index i, int) {
        const TablePart& part = parts[size(begin + i)];
        FoundColumns found;
        ColumnFinder finder(found);
        for_lines(
            part, part.first_row, part.first_row + part.rows, finder,
            [&](Index row, std::string_view) { finder.begin(row); }, [] { return std::string(); });
        const std::lock_guard lock(mutex);
        merge(own, found);
      });
    });
    std::vector<std::string> names;
    std::vector<FoundColumn> finds;
    for (const auto& [name, column] : own) {
      names.push_back(name);
      finds.push_back(column);
    }
    const auto all_names = comm.allgather_texts(names);
    const auto all_finds = comm.allgatherv(std::span<const FoundColumn>(finds));
    comm.collectively([&] { settle(all_names, all_finds); });
  }

  static void merge(FoundColumns& all, const FoundColumns& some) {
    for (const auto& [name, column] : some) {
      const auto [it, fresh] = all.try_emplace(name, column);
      if (fresh) continue;
      FoundColumn& known = it->second;
      if (std::pair(column.row, column.place) < std::pair(known.row, known.place)) {
        known.row = column.row;
        known.place = column.place;
      }
      known.given += column.given;
      known.whole = known.whole || column.whole;
      known.real = known.real || column.real;
      known.text = known.text || column.text;
      known.other = known.other || column.other;
    }
  }

  /// Columns in the order in which the rows bring them.
  void settle(const std::vector<std::string>& names, const std::vector<FoundColumn>& finds) {
    FoundColumns all;
    for (std::size_t i = 0; i < names.size(); ++i) merge(all, {{names[i], finds[i]}});
    std::vector<std::pair<std::string, FoundColumn>> ordered(all.begin(), all.end());
    std::sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
      return std::pair(a.second.row, a.second.place) < std::pair(b.second.row, b.second.place);
    });
    for (const auto& [name, column] : ordered)
      columns.push_back({name,
                         column.other  ? TableKind::other
                         : column.text ? TableKind::text
                         : column.real ? TableKind::real
                                       : TableKind::whole,
                         column.given < rows()});
    if (columns.empty()) throw bad_input(paths.front() + ": its objects have no members");
  }

  TextFiles files_;
  TextIndex index_;
};

}  // namespace

std::unique_ptr<Table> open_json_table(const Context& context, const InputFiles& files) {
  return std::make_unique<JsonTable>(context, files);
}

}  // namespace firesteel
