# Samples of one bench -> a table per metric. Input (tabs): bench candidate metric unit stat number;
# note bench text; goal bench metric candidate ratio|value|difference limit.
BEGIN { FS = "\t" }
$1 == "note" { notes[++nnotes] = $3; next }
$1 == "goal" { goals[++ngoals] = $3 FS $4; how[ngoals] = $5; limit[ngoals] = $6; next }
{
	bench = $1
	key = $3 FS $2
	if (!($3 in metric)) { metrics[++nmetrics] = $3; metric[$3] = $4; stat[$3] = $5 }
	if (!($2 in seen)) { candidates[++ncandidates] = $2; seen[$2] = 1 }
	v[key, ++n[key]] = $6 + 0
}
function sort_samples(key,    i, j, t) {
	for (i = 2; i <= n[key]; i++) {
		t = v[key, i]
		for (j = i - 1; j > 0 && v[key, j] > t; j--) v[key, j + 1] = v[key, j]
		v[key, j + 1] = t
	}
}
function median(key,    m) {
	m = int((n[key] + 1) / 2)
	return n[key] % 2 ? v[key, m] : (v[key, m] + v[key, m + 1]) / 2
}
function judged(name, candidate,    key) {
	key = name FS candidate
	return stat[name] == "median" ? median(key) : v[key, 1]
}
function number(x) { return x >= 1000 || x == int(x) ? sprintf("%.0f", x) : sprintf("%.3g", x) }
END {
	if (bench == "" && !nnotes) exit
	printf "\n%s\n", bench
	for (i = 1; i <= nnotes; i++) printf "  %s\n", notes[i]
	for (m = 1; m <= nmetrics; m++) {
		name = metrics[m]
		printf "  %-34s %12s %12s %12s %9s\n", name " [" metric[name] ", " stat[name] "]", "min", "median", "max", "ratio"
		base = ""
		for (c = 1; c <= ncandidates; c++) {
			key = name FS candidates[c]
			if (!n[key]) continue
			sort_samples(key)
			x = judged(name, candidates[c])
			if (c == 1) base = x
			printf "    %-32s %12s %12s %12s %9s\n", candidates[c], number(v[key, 1]), number(median(key)), \
				number(v[key, n[key]]), base ? sprintf("%.3f", x / base) : "-"
		}
	}
	for (g = 1; g <= ngoals; g++) {
		split(goals[g], p, FS)
		if (!n[goals[g]]) continue
		x = judged(p[1], p[2])
		first = judged(p[1], candidates[1])
		if (how[g] == "ratio") x = first ? x / first : 0
		if (how[g] == "difference") x -= first
		printf "  goal: %s of %s: %s %s <= %s: %s\n", how[g], p[2], p[1], number(x), limit[g], x <= limit[g] + 0 ? "met" : "MISSED"
	}
}
