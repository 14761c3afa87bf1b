# SPDX-License-Identifier: BSL-1.0
"""What the real programs are given to do: the same text in each run."""

CPP_HEAD = """\
#include <map>
#include <regex>
#include <string>
#include <vector>

template <int N>
struct record {
  int key = N;
  std::string name;
  std::vector<double> values;
  bool operator<(const record& other) const { return key < other.key || name < other.name; }
};

template <int N>
int index(const std::vector<record<N>>& records) {
  std::map<record<N>, std::string> by_record;
  for (const auto& r : records) {
    if (r.values.size() > N) by_record.emplace(r, r.name);
    else by_record.insert_or_assign(r, std::to_string(N));
  }
  int found = 0;
  for (auto& [key, value] : by_record) {
    found += value.size() > N ? key.key : int(value.size());
  }
  return found;
}

int matches(const std::string& text) {
  static const std::regex pattern("([a-z]+)[-_]?([0-9]{1,3})(?:,|;|$)");
  return int(std::distance(std::sregex_iterator(text.begin(), text.end(), pattern), std::sregex_iterator()));
}
"""


def cpp_source(percent):
    lines = [CPP_HEAD]
    for n in range(1, 5 * percent // 100 + 2):
        lines.append(f"int use_{n}(const std::vector<record<{n}>>& r) {{ return index<{n}>(r) + matches(r[0].name); }}")
    return "\n".join(lines) + "\n"


PYTHON_SCRIPT = '''\
import json
import sys

count = 60_000 * int(sys.argv[1]) // 100 + 1


def record(i):
    words = [f"word{(i * 7919 + k) % 5003}" for k in range(6)]
    return {"id": i, "name": f"record {i}", "tags": words, "score": i * 0.37, "text": " ".join(words) * (i % 5 + 1)}


records = [record(i) for i in range(count)]
by_word = {}
for r in records:
    for word in r["tags"]:
        by_word.setdefault(word, []).append(r["id"])
for _ in range(2):
    text = json.dumps(records)
    records = json.loads(text)
    del text
    for r in records[:: 3]:
        r["tags"] = sorted(set(r["tags"] + r["text"].split()))
        r["text"] = r["text"].replace("word", "w").upper()
kept = {r["name"]: r for i, r in enumerate(records) if i % 10 == 0}
del records
again = [dict(r, copy=[(k, str(v)[:20]) for k, v in r.items()]) for _ in range(4) for r in kept.values()]
again.sort(key=lambda r: (len(r["text"]), r["name"]))
print("records", len(again) + len(by_word), sep="\\t")
'''


def sql(percent):
    rows = 250_000 * percent // 100 + 1
    return f"""\
.mode tabs
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind INTEGER, price REAL, note TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO item SELECT i, 'item ' || (i * 7919 % {rows // 2 + 1}), i % 97, i * 0.25,
  substr('a note of some length, cut somewhere between its first word and its very last one', 1, i % 80) FROM n;
COMMIT;
CREATE INDEX item_name ON item (name);
CREATE INDEX item_kind ON item (kind, price);
CREATE TABLE total AS SELECT kind, count(*) AS items, sum(price) AS price, group_concat(substr(name, 6, 3)) AS names
  FROM item GROUP BY kind;
SELECT 'kinds', count(*) FROM total;
SELECT 'pairs', count(*) FROM item a JOIN item b ON b.name = a.name AND b.id <> a.id WHERE a.kind < 20;
SELECT 'notes', count(DISTINCT note || kind) FROM item;
UPDATE item SET note = note || ' (' || kind || ')' WHERE kind % 3 = 0;
DELETE FROM item WHERE id % 5 = 0;
SELECT 'longest', max(length(name || note)) FROM item;
SELECT 'integrity_errors', count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok';
"""
