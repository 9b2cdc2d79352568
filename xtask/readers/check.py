"""What other programs make of what `zctrace export` writes: it must be what `zctrace report --json` says.

    check.py ZCTRACE DOCS RECORDING...

Reads JSON lines, CSV, Parquet (DuckDB, pyarrow, pandas, Polars, DataFusion) and Perfetto (the protobuf classes of
Perfetto's own package), and runs every query of docs/fleet.md. None of this knows zctrace's code.
"""

import collections
import csv
import decimal
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unicodedata
import urllib.parse

import datafusion
import duckdb
import pandas
import polars
import pyarrow.dataset
import pyarrow.parquet
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as proto

TABLES = ["traces", "transfers", "mutations", "hits", "losses"]
ZCTRACE, DOCS = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()


def same(what, a, b):
    if a != b:
        sys.exit(f"readers: {what}: {a!r} is not {b!r}")


def run(*args):
    done = subprocess.run([ZCTRACE, *map(str, args)], capture_output=True)
    if done.returncode != 0:
        sys.exit(f"readers: zctrace {args}: {done.returncode}: {done.stderr.decode()}")
    return done.stdout


class Report:
    """The reference."""

    def __init__(self, recording):
        self.bytes = run("report", recording, "--json")
        self.of = collections.defaultdict(list)
        for line in self.bytes.decode().splitlines():
            o = json.loads(line)
            self.of[o["type"]].append(o)
        (self.summary,) = self.of["summary"]
        self.transfers = self.of["transfer"]
        self.mutations = self.of["mutation"]
        self.hits = [(m["id"], h["transfer"], h["phase"]) for m in self.mutations for h in m["hits"]]

    def counts(self, *keys):
        return collections.Counter(tuple(t[k] for k in keys) for t in self.transfers)

    def sorted(self, key):
        return sorted(t[key] for t in self.transfers if t[key] is not None)


def harmless(text):
    """text::harmless, for what the recordings here have. Backslashes are as they were."""
    if text is None:
        return None
    out = ""
    for c in text:
        if c == "\n":
            out += "\\n"
        elif c == "\t":
            out += "\\t"
        elif unicodedata.category(c) == "Cc":
            out += f"\\x{ord(c):02x}"
        elif c == "\u202e":
            out += "\\u{202e}"
        else:
            out += c
    return out


def acts(text):
    return any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in text)


def flat(t):
    """A transfer's JSON object as a row."""
    row = {k: v for k, v in t.items() if k not in ("type", "file", "memory", "socket")}
    for name, keys in {
        "file": ["dev", "ino", "path"],
        "memory": ["kind", "address", "buffers", "registered"],
        "socket": ["cookie", "id", "family", "proto", "local", "remote"],
    }.items():
        for key in keys:
            row[f"{name}_{key}"] = (t.get(name) or {}).get(key)
    if row["socket_id"] is not None:
        row["socket_id"] = int(row["socket_id"])
    for key in ("comm", "cgroup", "file_path"):
        row[key] = harmless(row[key])
    return row


def check_jsonl(report, recording, out):
    run("export", recording, "--to", "jsonl", "-o", out / "a.jsonl")
    same("jsonl", (out / "a.jsonl").read_bytes(), report.bytes)


def check_csv(report, recording, out):
    run("export", recording, "--to", "csv", "-o", out / "csv")
    rows = {}
    for table in TABLES:
        raw = (out / "csv" / f"{table}.csv").read_bytes().decode()
        if acts(raw.replace("\r\n", "")):
            sys.exit(f"readers: {table}.csv has characters that act")
        rows[table] = list(csv.DictReader(raw.splitlines(), strict=True))
        for row in rows[table]:
            for key, field in row.items():
                if field[:1] in tuple("=+-@\t\r") or ";" in field:
                    sys.exit(f"readers: {table}.{key}: a spreadsheet would run {field!r}")

    def back(field):
        return (field[1:] if field.startswith("'") else field).replace("\\x3b", ";")

    same("csv transfers", len(rows["transfers"]), len(report.transfers))
    for t, row in zip(map(flat, report.transfers), rows["transfers"]):
        for key, value in t.items():
            if isinstance(value, bool):
                value = "true" if value else "false"
            elif isinstance(value, list):
                value = "|".join(value)
            same(f"csv {key}", back(row[key]), "" if value is None else str(value))
    same("csv hits", [(r["mutation"], r["transfer"], r["phase"]) for r in rows["hits"]], report.hits)
    comms = [back(r["comm"]) for r in rows["mutations"]]
    same("csv mutations", comms, [harmless(m["comm"]) or "" for m in report.mutations])
    frame = pandas.read_csv(out / "csv" / "transfers.csv")
    same("csv in pandas", len(frame), len(report.transfers))
    db = duckdb.sql(f"SELECT count(*), max(gap_ns) FROM read_csv('{out}/csv/transfers.csv')").fetchall()[0]
    same("csv in DuckDB", db, (len(report.transfers), report.summary["gap"]["max"]))


def check_parquet(report, recording, out):
    run("export", recording, "--to", "parquet", "-o", out / "flat")
    path = str(out / "flat" / "transfers.parquet")
    db = duckdb.connect()
    for table in TABLES:
        db.execute(f"CREATE VIEW {table} AS FROM '{out}/flat/{table}.parquet'")
    polar = polars.read_parquet(path)
    panda = pandas.read_parquet(path)
    context = datafusion.SessionContext()
    context.register_parquet("transfers", path)
    arrow = pyarrow.parquet.read_table(path)

    # Every value, by pyarrow, against the JSON objects.
    (trace,) = report.of["trace"]
    wall = trace["start_realtime_ns"] - trace["start_ns"]
    for t, row in zip(map(flat, report.transfers), arrow.to_pylist(), strict=True):
        same("host", row.pop("host"), harmless(trace["host"]))
        same("submit_time", row.pop("submit_time").value, t["submit_ns"] + wall)
        same("trace", row.pop("trace").split("-")[0], str(trace["start_realtime_ns"]))
        same("columns", set(row), set(t))
        for key, value in row.items():
            same(f"parquet {key}", value, t[key])

    # Counts, by each.
    for keys in (("outcome",), ("verdict",), ("api",), ("outcome", "verdict", "api"), ("released_by",)):
        expected = report.counts(*keys)
        list_ = ", ".join(keys)
        sql = f"SELECT {list_}, count(*) AS n FROM transfers GROUP BY {list_}"
        same(f"DuckDB {list_}", {r[:-1]: r[-1] for r in db.sql(sql).fetchall()}, expected)
        rows = context.sql(sql).to_pylist()
        same(f"DataFusion {list_}", {tuple(r[k] for k in keys): r["n"] for r in rows}, expected)
        rows = polar.group_by(keys).len().iter_rows()
        same(f"Polars {list_}", {r[:-1]: r[-1] for r in rows}, expected)
        groups = panda.groupby(list(keys), dropna=False).size()
        groups = {k if isinstance(k, tuple) else (k,): n for k, n in groups.items()}
        same(f"pandas {list_}", {tuple(None if pandas.isna(v) else v for v in k): n for k, n in groups.items()}, expected)
        rows = arrow.group_by(list(keys)).aggregate([([], "count_all")]).to_pylist()
        same(f"pyarrow {list_}", {tuple(r[k] for k in keys): r["count_all"] for r in rows}, expected)
    s = report.summary
    for name, sql in {
        "transfers": "count(*)",
        "released": "count(*) FILTER (WHERE outcome = 'released')",
        "held": "count(*) FILTER (WHERE outcome = 'held')",
        "unknown": "count(*) FILTER (WHERE outcome = 'unknown')",
        "mutated": "count(*) FILTER (WHERE verdict = 'mutated')",
    }.items():
        n = db.sql(f"SELECT {sql} FROM transfers").fetchall()[0][0]
        same(f"summary's {name}", n, s[name])
    lost = db.sql("SELECT coalesce(sum(records), 0) FROM losses").fetchall()[0][0]
    same("lost records", lost, s["lost_records"])

    # Quantiles: the summary's have three digits, its largest is exact.
    for name in ("gap", "exposure"):
        key = f"{name}_ns"
        same(f"{name} max", db.sql(f"SELECT max({key}) FROM transfers").fetchall()[0][0], s[name]["max"])
        same(f"{name} max, pyarrow", pyarrow.compute.max(arrow[key]).as_py(), s[name]["max"])
        for q in (0.5, 0.9, 0.99):
            said = s[name][f"p{int(q * 100)}"]
            by = {
                "DuckDB": db.sql(f"SELECT quantile_disc({key}, {q}) FROM transfers").fetchall()[0][0],
                "Polars": polar[key].quantile(q, "higher"),
                "pyarrow": pyarrow.compute.quantile(arrow[key], q, interpolation="higher")[0].as_py(),
            }
            for engine, value in by.items():
                near(f"{name} p{q}, {engine}", value, said, report.sorted(key), q)

    # From a mutation to whom it hit.
    rows = db.sql(
        "SELECT m.id, t.id, h.phase, list_contains(t.mutations, m.id) FROM hits h"
        " JOIN mutations m ON m.trace = h.trace AND m.id = h.mutation"
        " JOIN transfers t ON t.trace = h.trace AND t.id = h.transfer"
    ).fetchall()
    same("joined hits", sorted(rows), sorted((*h, True) for h in report.hits))


def near(what, value, said, values, q):
    """Engines differ by one place in what a quantile is; the report has three digits."""
    if not values:
        same(what, (value, said), (None, None))
        return
    place = round(q * len(values))
    around = values[max(0, place - 2) : place + 2]
    if not around[0] <= value <= around[-1]:
        sys.exit(f"readers: {what}: {value} is not in {around}")
    if not around[0] * 0.999 - 1 <= said <= around[-1] * 1.001 + 1:
        sys.exit(f"readers: {what}: the report says {said}, not one of {around}")


def check_perfetto(report, recording, out):
    path = out / "a.pftrace"
    run("export", recording, "--to", "perfetto", "-o", path)
    trace = proto.Trace()
    trace.ParseFromString(path.read_bytes())
    same("encoded again", len(trace.SerializeToString()), path.stat().st_size)
    for packet in trace.packet:
        for message in (packet, packet.track_event, packet.track_descriptor):
            same("fields that Perfetto does not know", len(proto_unknown(message)), 0)

    names, keys, values, categories = {}, {}, {}, {}
    tracks, events = {}, []
    for packet in trace.packet:
        if packet.sequence_flags & proto.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED:
            for interned in (names, keys, values, categories):
                interned.clear()
            same("clock", packet.trace_packet_defaults.timestamp_clock_id, proto.BUILTIN_CLOCK_MONOTONIC)
        data = packet.interned_data
        names.update({i.iid: i.name for i in data.event_names})
        keys.update({i.iid: i.name for i in data.debug_annotation_names})
        categories.update({i.iid: i.name for i in data.event_categories})
        values.update({i.iid: i.str.decode() for i in data.debug_annotation_string_values})
        if packet.HasField("clock_snapshot"):
            clocks = {c.clock_id: c.timestamp for c in packet.clock_snapshot.clocks}
            (t,) = report.of["trace"]
            same("clocks", clocks, {3: t["start_ns"], 1: t["start_realtime_ns"]})
        if packet.HasField("track_descriptor"):
            d = packet.track_descriptor
            same("track twice", d.uuid in tracks, False)
            tracks[d.uuid] = d
        if packet.HasField("track_event"):
            e = packet.track_event
            notes = {}
            for n in e.debug_annotations:
                field = [f.name for f, _ in n.ListFields() if f.name.endswith(("_value", "_value_iid"))][0]
                value = getattr(n, field)
                notes[keys[n.name_iid]] = values[value] if field == "string_value_iid" else value
            category = [categories[i] for i in e.category_iids]
            events.append((packet.timestamp, e, names.get(e.name_iid), category, notes))
    for text in [d.name for d in tracks.values()] + [str(x) for e in events for x in (e[2], *e[4].values())]:
        if acts(text):
            sys.exit(f"readers: Perfetto: {text!r} acts")

    # As the trace processor does it: by time, and a track is a stack.
    kinds = proto.TrackEvent
    events.sort(key=lambda e: e[0])
    stacks, slices, sources, hit_at, ended = collections.defaultdict(list), {}, {}, {}, {}
    for at, e, name, category, notes in events:
        same("a track that is there", e.track_uuid in tracks, True)
        stack = stacks[e.track_uuid]
        if e.type == kinds.TYPE_SLICE_BEGIN:
            same("a slice in a slice", len(stack), 0)
            stack.append((at, category, notes, e.track_uuid))
        elif e.type == kinds.TYPE_SLICE_END:
            begin, category, notes, track = stack.pop()
            slices[notes["id"]] = (begin, at, category, notes, track)
            for flow in e.terminating_flow_ids:
                ended[flow] = notes["id"]
        elif category == ["mutation"]:
            for flow in e.flow_ids:
                sources[flow] = (notes["id"], at)
        elif category == ["hit"]:
            (flow,) = e.flow_ids
            hit_at[flow] = (notes["mutation"], notes["phase"], at, e.track_uuid, stack[-1][2]["id"] if stack else None)
        else:
            same("category", category, ["loss"])
    same("open slices", [s for s in stacks.values() if s], [])
    same("slices", sorted(slices), sorted(t["id"] for t in report.transfers))
    last = max(at for at, *_ in events)
    sockets = collections.defaultdict(set)
    for t in report.transfers:
        begin, end, category, notes, track = slices[t["id"]]
        same("begin", begin, t["submit_ns"])
        same("category", category, [t["verdict"]])
        for key in ("api", "verdict", "outcome", "bytes", "gap_ns", "exposure_ns", "released_by", "pid", "requested"):
            same(f"note {key}", notes.get(key), t[key])
        same("note comm", notes["comm"], harmless(t["comm"]))
        if t["release_ns"] is not None:
            same("end", end, t["release_ns"])
        else:
            same("a note of its end", "end" in notes, True)
            if t["outcome"] == "held":
                same("held to the end", end >= last, True)
        d = tracks[track]
        sockets[(t["pid"], (t["socket"] or {}).get("id"))].add((d.name, d.parent_uuid, d.sibling_merge_key))
        process = tracks[d.parent_uuid]
        same("process", process.name.endswith(f"/{t['pid']}"), True)
    # A socket is one line, and no two are the same.
    lines = [line for line in sockets.values()]
    same("lines of a socket", {len(line) for line in lines}, {1} if lines else set())
    same("sockets of a line", len(set.union(set(), *lines)), len(lines))
    pairs = sorted((m, t) for m, t, _ in report.hits)
    same("flows", sorted((m, ended.get(flow)) for flow, (m, _) in sources.items()), pairs)
    same("hits", sorted(m for m, *_ in hit_at.values()), [m for m, _ in pairs])
    phases = {(m, t): phase for m, t, phase in report.hits}
    for flow, (m, phase, at, track, within) in hit_at.items():
        begin, end, _, _, lane = slices[ended[flow]]
        same("phase", phase, phases[(m, ended[flow])])
        same("on the line of the transfer", track, lane)
        if begin < end:
            same("within its slice", within, ended[flow])
    at = {m["id"]: m["at_ns"] for m in report.mutations}
    for m, when in sources.values():
        same("when", when, at[m])


def check_merged(reports, recordings, out):
    """Of several hosts in one recording, everything is of its own."""
    merged = out / "merged.zct"
    run("merge", *recordings, "-o", merged)
    run("export", merged, "--to", "parquet", "-o", out / "merged")
    db = duckdb.connect()
    for table in TABLES:
        db.execute(f"CREATE VIEW {table} AS FROM '{out}/merged/{table}.parquet'")
    for table, kind in (("transfers", "transfer"), ("mutations", "mutation"), ("losses", "loss")):
        expected = {harmless(r.of["trace"][0]["host"]): len(r.of[kind]) for r in reports if r.of[kind]}
        found = dict(db.sql(f"SELECT host, count(*) FROM {table} GROUP BY host").fetchall())
        same(f"merged {table}", found, expected)
    # Each by its own clocks.
    found = db.sql("SELECT trace, min(submit_ns), min(submit_time) FROM transfers GROUP BY trace").fetchall()
    same("merged traces", len(found), len(reports))
    joined = "SELECT count(*) FROM hits h JOIN transfers t ON t.trace = h.trace AND t.id = h.transfer"
    same("merged hits", db.sql(joined).fetchall()[0][0], sum(len(r.hits) for r in reports))

    run("export", merged, "--to", "perfetto", "-o", out / "merged.pftrace")
    trace = proto.Trace()
    trace.ParseFromString((out / "merged.pftrace").read_bytes())
    tracks = {p.track_descriptor.uuid: p.track_descriptor for p in trace.packet if p.HasField("track_descriptor")}
    groups = {d.uuid: d.name for d in tracks.values() if not d.HasField("parent_uuid")}
    hosts = {f"zctrace: {harmless(r.of['trace'][0]['host'])}": len(r.transfers) for r in reports}
    same("groups", sorted(groups.values()), sorted(hosts))
    slices = collections.Counter()
    for packet in trace.packet:
        if packet.track_event.type == proto.TrackEvent.TYPE_SLICE_BEGIN:
            track = tracks[packet.track_event.track_uuid]
            while track.HasField("parent_uuid"):
                track = tracks[track.parent_uuid]
            slices[groups[track.uuid]] += 1
    same("slices of hosts", slices, hosts)


def proto_unknown(message):
    from google.protobuf.unknown_fields import UnknownFieldSet

    return UnknownFieldSet(message)


def queries():
    """(engine or None, SQL) of docs/fleet.md."""
    text = (DOCS / "fleet.md").read_text()
    for info, sql in re.findall(r"^```sql([^\n]*)\n(.*?)^```", text, re.M | re.S):
        yield info.strip() or None, [q.strip() for q in sql.split(";\n") if q.strip(" ;\n")]


def check_fleet(reports, recordings, out):
    # A query names the tree `lake`.
    os.chdir(out)
    for recording in recordings:
        run("export", recording, "--to", "parquet", "--partition", "-o", "lake")
    again = subprocess.run([ZCTRACE, "export", recordings[0], "--to", "parquet", "--partition", "-o", "lake"], capture_output=True)
    same("the same again", again.returncode, 4)
    hosts = sorted(os.listdir("lake/transfers"))
    days = {d for h in hosts for d in os.listdir(f"lake/transfers/{h}")}
    if len(hosts) < 2 or len(days) < 2:
        sys.exit(f"readers: a tree of {hosts} and {days} shows nothing")
    same("what is in the tree", sorted(os.listdir("lake")), sorted(TABLES))
    left = [p for p in pathlib.Path("lake").rglob("*") if p.is_file() and p.suffix != ".parquet"]
    same("what is left", left, [])

    db, context = duckdb.connect(), datafusion.SessionContext()
    try:
        # Half a gigabyte: only where somebody installed it.
        from chdb.session import Session

        house = Session()
    except ImportError:
        house = None
    n = 0
    for engine, statements in queries():
        for sql in statements:
            if engine in ("duckdb", None):
                mine = db.execute(sql).fetchall()
            if engine in ("datafusion", None):
                theirs = [tuple(row.values()) for row in context.sql(sql.rstrip(";")).to_pylist()]
            if engine == "clickhouse" and house:
                same("rows of " + sql, house.query(sql.rstrip(";"), "TSV").rows_read() > 0, True)
            if engine not in ("duckdb", "datafusion", "clickhouse", None):
                sys.exit(f"readers: who is {engine}?")
            if engine is None:
                n += 1
                if not mine and "unattributed" not in sql:
                    sys.exit(f"readers: a query that finds nothing shows nothing: {sql}")
                same(sql, len(mine), len(theirs))
                for a, b in zip(mine, theirs):
                    if not alike(a, b):
                        same(sql, a, b)
    if n < 8:
        sys.exit(f"readers: {n} queries in docs/fleet.md")
    total = sum(len(r.transfers) for r in reports)
    same("transfers in the tree", db.sql("SELECT count(*) FROM transfers").fetchall()[0][0], total)
    by_host = dict(db.sql("SELECT host, count(*) FROM transfers GROUP BY host").fetchall())
    expected = {harmless(r.of["trace"][0]["host"]): len(r.transfers) for r in reports}
    same("hosts, DuckDB", by_host, expected)
    tree = pyarrow.dataset.dataset("lake/transfers", partitioning="hive").to_table()
    same("hosts, pyarrow", collections.Counter(tree["host"].to_pylist()), expected)
    frame = polars.read_parquet("lake/transfers/**/*.parquet", hive_partitioning=True)
    same("hosts, Polars", dict(frame.group_by("host").len().iter_rows()), expected)
    same("pandas", len(pandas.read_parquet("lake/transfers")), total)
    # The day is that of the submit.
    wrong = db.sql("SELECT count(*) FROM transfers WHERE day <> CAST(timezone('UTC', submit_time::TIMESTAMPTZ) AS DATE)")
    same("days", wrong.fetchall()[0][0], 0)


def alike(a, b):
    """Two engines' types of the same values."""
    return len(a) == len(b) and all(map(equal, a, b))


def equal(a, b):
    numbers = (float, decimal.Decimal)
    if isinstance(a, numbers) or isinstance(b, numbers):
        return math.isclose(a, b, rel_tol=1e-5)
    return plain(a) == plain(b)


def plain(value):
    if hasattr(value, "isoformat"):
        # A day, or a moment to the microsecond; zones are all UTC.
        return value.isoformat(" ")[:26] if hasattr(value, "hour") else value.isoformat()
    if isinstance(value, str):
        return urllib.parse.unquote(value)
    return value


def main():
    recordings = [pathlib.Path(p).resolve() for p in sys.argv[3:]]
    duckdb.sql("SET TimeZone = 'UTC'")
    reports = []
    for recording in recordings:
        report = Report(recording)
        with tempfile.TemporaryDirectory() as out:
            out = pathlib.Path(out)
            check_jsonl(report, recording, out)
            check_csv(report, recording, out)
            check_parquet(report, recording, out)
            check_perfetto(report, recording, out)
        s = report.summary
        print(f"readers: {recording.name}: {s['transfers']} transfers, {len(report.hits)} hits: the same in every format")
        reports.append(report)
    named = [(r, p) for r, p in zip(reports, recordings) if r.of["trace"][0]["host"]]
    with tempfile.TemporaryDirectory() as out:
        out, (reports, recordings) = pathlib.Path(out), zip(*named)
        check_merged(reports, recordings, out)
        check_fleet(reports, recordings, out)
    print(f"readers: {len(named)} hosts in one tree: every query of fleet.md runs, and DuckDB and DataFusion agree")


main()
