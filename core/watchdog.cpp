// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/watchdog.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "firesteel/core/background_thread.hpp"
#include "firesteel/core/watchdog_meeting.hpp"
#include "firesteel/core/watchdog_message.hpp"

namespace firesteel {

namespace {

using namespace detail;
using Lock = std::unique_lock<std::mutex>;

constexpr double kEndedGrace_s = 1;       // mpirun ends a job by itself where a process dies
constexpr double kAnnouncedGrace_s = 10;  // for an announced end to reach every rank
constexpr double kTurn_s = 0.4;           // between ranks that would say the same
constexpr double kLateTurn_s = 4;         // for those that are not the first of their host
constexpr int kMaxTurns = 8;

/// A rank as another one sees it.
struct Peer {
  int rank = 0;
  MessageStream stream;
  double heard_s = 0;
  double moved_s = 0;  ///< when it last entered or left an operation
  WatchdogMessage last;
  bool ended = false;  ///< it has said goodbye
  double gone_s = 0;   ///< when its connection ended without; 0: it has not
};

}  // namespace

class Watchdog::State {
 public:
  State(const Communicator& comm, WatchdogOptions options)
      : comm_(comm), options_(std::move(options)), activity_(comm_.activity()) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  ~State() {
    {
      const Lock lock(mutex_);
      stopping_ = true;
    }
    woken_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  /// Connects all ranks; empty, or why that failed: the same on all. Collective.
  std::string connect_all() {
    auto met = meet_all(comm_);
    comm_.collectively([&] {
      hosts_ = std::move(met.hosts);
      for (auto& peer : met.peers) peers_.push_back({.rank = peer.rank, .stream = std::move(peer.stream)});
    });
    return met.failure;
  }

  /// From now on the ranks give and expect signs of life; empty, or why that cannot be: the same on all.
  /// Collective.
  std::string start_all() {
    return first_failure(comm_, attempt([this] { start(); }));
  }

  std::vector<PeerAge> ages() const {
    const Lock lock(mutex_);
    const double now = now_s();
    std::vector<PeerAge> ages;
    for (const Peer& peer : peers_)
      ages.push_back(age_of(peer.rank, peer.last, now - peer.heard_s, now - peer.moved_s, peer.ended));
    const WatchdogMessage own = own_beat();
    ages.insert(rank() == 0 ? ages.begin() : ages.end(), age_of(rank(), own, 0, now - moved_s_, false));
    return ages;
  }

  void announce_end() {
    const Lock lock(mutex_);
    end_announced(now_s());
  }

 private:
  int rank() const { return comm_.rank(); }

  PeerAge age_of(int rank, const WatchdogMessage& beat, double heard_s, double progress_s, bool ended) const {
    return {rank,       host_of(rank),  heard_s, progress_s, text_of(beat.operation), text_of(beat.phase),
            beat.ticks, beat.iteration, ended};
  }

  void start() {
    moved_s_ = now_s();
    forgive(now_s());
    try {
      thread_ = start_background_thread([this] { run(); });
    } catch (const std::exception& error) {
      throw Error(ErrorCode::unavailable, "rank " + std::to_string(rank()) + " on " + host_of(rank()) +
                                              " cannot start a thread: " + error.what());
    }
  }

  const std::string& host_of(int rank) const { return hosts_[static_cast<std::size_t>(rank)]; }

  // Watching; all under the lock.

  void run() {
    const double slice = options_.beat_s / 4;
    double beat_at = 0;
    double turn = now_s();
    Lock lock(mutex_);
    while (!stopping_) {
      const double now = now_s();
      if (now - turn > 3 * options_.beat_s + 1) forgive(now);  // this process was stopped
      turn = now;
      for (Peer& peer : peers_) hear(peer, now);
      if (now >= beat_at) {
        for (Peer& peer : peers_) send_message(peer.stream, own_beat());
        beat_at = now + options_.beat_s;
      }
      if (const auto loss = find_loss(now); loss && !acted_) {
        acted_ = true;
        lock.unlock();
        act(*loss);
        lock.lock();
      }
      woken_.wait_for(lock, std::chrono::duration<double>(slice));
    }
    for (Peer& peer : peers_) {
      send_message(peer.stream, {.kind = MessageKind::goodbye, .rank = rank()});
      peer.stream.close();
    }
  }

  void forgive(double now) {
    for (Peer& peer : peers_) peer.heard_s = now;
  }

  WatchdogMessage own_beat() const {
    WatchdogMessage beat{.kind = MessageKind::beat, .rank = rank()};
    beat.ticks = activity_.ticks.load(std::memory_order_relaxed);
    if (beat.ticks != last_ticks_) {
      last_ticks_ = beat.ticks;
      moved_s_ = now_s();
    }
    beat.iteration = activity_.iteration.load(std::memory_order_relaxed);
    beat.seconds = now_s() - moved_s_;
    const auto text = [](const std::atomic<const char*>& word) {
      const char* now = word.load(std::memory_order_relaxed);
      return now == nullptr ? "" : now;
    };
    put_text(beat.operation, text(activity_.operation));
    put_text(beat.phase, text(activity_.phase));
    return beat;
  }

  void hear(Peer& peer, double now) {
    peer.stream.flush();
    if (peer.stream.receive()) peer.heard_s = now;
    while (const auto message = next_message(peer.stream)) {
      if (message->kind == MessageKind::beat) {
        peer.last = *message;
        peer.moved_s = now - message->seconds;
      } else if (message->kind == MessageKind::goodbye) {
        peer.ended = true;
      } else if (message->kind == MessageKind::ending) {
        end_announced(now);
      } else if (message->kind == MessageKind::verdict && rank() != 0) {
        verdict_ = PeerLoss{static_cast<int>(message->rank), text_of(message->host), message->seconds,
                            static_cast<int>(message->others), message->connection_ended != 0};
      }
    }
    if (!peer.stream.open() && peer.gone_s == 0) peer.gone_s = now;
  }

  /// Passes it on, once.
  void end_announced(double now) {
    if (announced_s_ > 0) return;
    announced_s_ = now;
    for (Peer& peer : peers_) send_message(peer.stream, {.kind = MessageKind::ending, .rank = rank()});
  }

  bool lost(const Peer& peer, double now) const {
    if (peer.ended || (peer.gone_s > 0 && options_.processes_may_end)) return false;
    return peer.gone_s > 0 ? now - peer.gone_s > kEndedGrace_s : now - peer.heard_s > options_.peer_timeout_s;
  }

  std::optional<PeerLoss> find_loss(double now) const {
    if (options_.peer_timeout_s <= 0) return std::nullopt;
    if (verdict_) return verdict_;
    if (announced_s_ > 0) {
      if (now - announced_s_ < kAnnouncedGrace_s) return std::nullopt;
      return PeerLoss{};
    }
    const auto first =
        std::find_if(peers_.begin(), peers_.end(), [&](const Peer& peer) { return lost(peer, now); });
    if (first == peers_.end()) return std::nullopt;
    // Ranks of one host fall silent within a beat of each other.
    const auto others =
        std::count_if(peers_.begin(), peers_.end(),
                      [&](const Peer& peer) { return lost(peer, now + 2 * options_.beat_s); }) -
        1;
    return PeerLoss{first->rank,
                    host_of(first->rank),
                    now - first->heard_s,
                    static_cast<int>(others),
                    first->gone_s > 0,
                    true,
                    turn_s()};
  }

  /// Ranks that rank 0 cannot tell speak in turn, one of each host first: the first to speak ends the job.
  double turn_s() const {
    if (rank() == 0) return 0;
    int hosts_before = 0;
    for (int other = 1; other < rank(); ++other) {
      if (host_of(other) == host_of(rank())) return kLateTurn_s + kTurn_s * std::min(rank(), kMaxTurns);
      const auto begin = hosts_.begin() + 1;
      if (std::find(begin, begin + other - 1, host_of(other)) == begin + other - 1) ++hosts_before;
    }
    return kTurn_s * std::min(hosts_before, kMaxTurns);
  }

  void act(const PeerLoss& loss) {
    if (rank() == 0 && loss.speaks) {
      WatchdogMessage verdict{.kind = MessageKind::verdict, .rank = loss.rank};
      verdict.seconds = loss.seconds;
      verdict.others = loss.others;
      verdict.connection_ended = loss.connection_ended ? 1 : 0;
      put_text(verdict.host, loss.host);
      for (Peer& peer : peers_) send_message(peer.stream, verdict);
    }
    if (!options_.on_loss) comm_.abort(static_cast<int>(ErrorCode::unavailable));
    options_.on_loss(comm_, loss);
  }

  Communicator comm_;
  WatchdogOptions options_;
  const Activity& activity_;
  std::vector<std::string> hosts_;  // by rank

  mutable std::mutex mutex_;
  std::condition_variable woken_;
  bool stopping_ = false;
  std::vector<Peer> peers_;
  mutable std::int64_t last_ticks_ = 0;
  mutable double moved_s_ = 0;
  double announced_s_ = 0;
  std::optional<PeerLoss> verdict_;
  bool acted_ = false;
  std::thread thread_;
};

Watchdog::Watchdog(const Communicator& comm, WatchdogOptions options) {
  if (comm.size() == 1 || options.beat_s <= 0) return;
  auto state = std::make_unique<State>(comm, std::move(options));
  problem_ = state->connect_all();
  if (problem_.empty()) problem_ = state->start_all();
  if (problem_.empty()) state_ = std::move(state);
}

Watchdog::~Watchdog() = default;

const std::string& Watchdog::problem() const { return problem_; }

std::vector<PeerAge> Watchdog::ages() const { return state_ ? state_->ages() : std::vector<PeerAge>(); }

void Watchdog::announce_end() {
  if (state_) state_->announce_end();
}

}  // namespace firesteel
