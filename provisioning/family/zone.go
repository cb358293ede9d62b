package family

import (
	"fmt"
	"strings"
	"time"
)

// Zone is a time zone as phones need it told, computed from the tz database, never typed by hand.
type Zone struct {
	Name   string // IANA: "Europe/Berlin"; "" = not set
	Offset int    // seconds east of UTC in standard time
	POSIX  string // TZ string, good for every year: "CET-1CEST,M3.5.0,M10.5.0/3"
	DST    bool   // whether summer time is kept
	Save   int    // seconds that summer time adds
	Start  Change // when summer time begins, in local standard time
	End    Change // when it ends, in local summer time
}

// Change is a yearly day rule: the Week-th Weekday of Month (Week 5 = the last one) at Hour:Minute local time. The rules
// of a few zones are longer ("the Sunday after the first Saturday" in Chile): theirs is the one that gives the right day
// in the year it was computed for, and a phone that looks for its settings now and then is told the next one in time.
type Change struct {
	Month   int // 1-12
	Week    int // 1-5
	Weekday int // 0 = Sunday
	Hour    int
	Minute  int
}

// horizon is how many years of changes a rule must explain. Eight see every position of a weekday in its month,
// leap years included.
const horizon = 8

// ZoneOf computes the rules of an IANA zone as they stand at the given time. A zone whose changes follow no yearly
// rule (Morocco shifts with Ramadan) is given as a zone without summer time, at the offset that holds for most of
// the coming year: phones cannot be told more. The error says that the name is not in the tz database.
func ZoneOf(name string, at time.Time) (Zone, error) {
	loc, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return Zone{}, fmt.Errorf("time zone %q is not in the tz database: use a name like Europe/Berlin", name)
	}
	z := Zone{Name: name}
	turns := turnsOf(loc, at.In(loc).Year())
	if turns.regular() {
		z.Start, z.DST = yearlyRule(turns.starts, turns.standard)
		if z.DST {
			z.End, z.DST = yearlyRule(turns.ends, turns.summer)
		}
	}
	if !z.DST {
		abbreviation, offset := usual(loc, at)
		return Zone{Name: name, Offset: offset, POSIX: posixName(abbreviation) + posixOffset(-offset)}, nil
	}
	z.Offset, z.Save = turns.standard, turns.summer-turns.standard
	z.POSIX = z.posix(turns.standardName, turns.summerName)
	z.Start, z.End = z.Start.within(at.Year()), z.End.within(at.Year())
	return z, nil
}

// within says a rule whose hour is beyond its day, as a TZ string may have it (24 in Chile, -1 in Greenland, 26 in
// Israel), with the day on which it falls in a year. No maker but those that read TZ strings can be told such hours.
func (c Change) within(year int) Change {
	if c.Hour >= 0 && c.Hour < 24 {
		return c
	}
	first := time.Date(year, time.Month(c.Month), 1, 0, 0, 0, 0, time.UTC)
	day := first.AddDate(0, 0, (c.Weekday-int(first.Weekday())+7)%7+7*(c.Week-1))
	if day.Month() != first.Month() { // there is no fifth one this year
		day = day.AddDate(0, 0, -7)
	}
	at := day.Add(time.Duration(c.Hour) * time.Hour)
	out := Change{Month: int(at.Month()), Week: (at.Day()-1)/7 + 1, Weekday: int(at.Weekday()), Hour: at.Hour(), Minute: c.Minute}
	if at.AddDate(0, 0, 7).Month() != at.Month() {
		out.Week = 5
	}
	return out
}

// turns are the changes of the clock in the years that are looked at.
type turns struct {
	starts, ends             []time.Time // UTC
	standard, summer         int         // offsets in seconds
	standardName, summerName string
	odd                      bool // more than two offsets, or not one start and one end a year
}

// regular says whether each year has one start and one end. The larger offset is summer time, whatever the tz
// database calls it (it says that Ireland's winter is the exception).
func (t *turns) regular() bool {
	return !t.odd && len(t.starts) == horizon && len(t.ends) == horizon
}

func turnsOf(loc *time.Location, year int) turns {
	var t turns
	for y := year; y < year+horizon; y++ {
		starts, ends := len(t.starts), len(t.ends)
		for _, at := range changesIn(loc, y) {
			t.add(at)
		}
		t.odd = t.odd || len(t.starts) != starts+1 || len(t.ends) != ends+1
	}
	return t
}

// changesIn lists the instants in a year (UTC) at which the offset changes.
func changesIn(loc *time.Location, year int) []time.Time {
	var out []time.Time
	end := time.Date(year+1, 1, 1, 0, 0, 0, 0, time.UTC)
	for at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).In(loc); at.Before(end); {
		_, next := at.ZoneBounds()
		if next.IsZero() || !next.Before(end) {
			break
		}
		if !next.After(at) { // package time ends a leap year after 2037 a day early and then stands still
			at = at.AddDate(0, 0, 1)
			continue
		}
		_, before := next.Add(-time.Second).Zone()
		if _, after := next.Zone(); after != before {
			out = append(out, next)
		}
		at = next
	}
	return out
}

func (t *turns) add(at time.Time) {
	fromName, from := at.Add(-time.Second).Zone()
	toName, to := at.Zone()
	if from < to {
		t.starts = append(t.starts, at.UTC())
		t.offsets(from, to, fromName, toName)
		return
	}
	t.ends = append(t.ends, at.UTC())
	t.offsets(to, from, toName, fromName)
}

func (t *turns) offsets(standard, summer int, standardName, summerName string) {
	if t.standardName != "" && (t.standard != standard || t.summer != summer) {
		t.odd = true
	}
	t.standard, t.summer, t.standardName, t.summerName = standard, summer, standardName, summerName
}

// yearlyRule finds the one day rule that gives all instants, told by a clock at offset. Where the day itself follows
// none ("Sunday on or after the 2nd"), the day before at hour 24 may, or the day after at hour -1.
func yearlyRule(instants []time.Time, offset int) (Change, bool) {
	for _, days := range []int{0, 1, -1, 2} {
		if c, ok := dayRule(instants, offset, days); ok {
			return c, true
		}
	}
	return Change{}, false
}

func dayRule(instants []time.Time, offset, daysBack int) (Change, bool) {
	var nth, last Change
	nthFits, lastFits := true, true
	for i, at := range instants {
		wall := at.Add(time.Duration(offset) * time.Second)
		day := wall.AddDate(0, 0, -daysBack)
		c := Change{Month: int(day.Month()), Week: (day.Day()-1)/7 + 1, Weekday: int(day.Weekday()), Hour: wall.Hour() + 24*daysBack, Minute: wall.Minute()}
		l := c
		l.Week = 5
		if i == 0 {
			nth, last = c, l
		}
		nthFits = nthFits && c == nth && c.Week < 5
		lastFits = lastFits && l == last && day.AddDate(0, 0, 7).Month() != day.Month()
	}
	if lastFits {
		return last, true
	}
	return nth, nthFits
}

// usual is the offset that holds for most of the year after at.
func usual(loc *time.Location, at time.Time) (abbreviation string, offset int) {
	counts, best := map[int]int{}, 0
	for week := range 52 {
		name, off := at.AddDate(0, 0, 7*week).In(loc).Zone()
		if counts[off]++; counts[off] > best {
			best, abbreviation, offset = counts[off], name, off
		}
	}
	return abbreviation, offset
}

// posix writes the TZ string of IEEE 1003.1 section 8.3: offsets count west of UTC, one hour and two o'clock are
// left out.
func (z Zone) posix(standard, summer string) string {
	var b strings.Builder
	b.WriteString(posixName(standard) + posixOffset(-z.Offset) + posixName(summer))
	if z.Save != 3600 {
		b.WriteString(posixOffset(-z.Offset - z.Save))
	}
	for _, c := range []Change{z.Start, z.End} {
		fmt.Fprintf(&b, ",M%d.%d.%d", c.Month, c.Week, c.Weekday)
		if c.Hour != 2 || c.Minute != 0 {
			b.WriteString("/" + posixOffset(c.Hour*3600+c.Minute*60))
		}
	}
	return b.String()
}

// posixName quotes abbreviations that are numbers: "<+0530>".
func posixName(name string) string {
	if strings.ContainsAny(name, "+-0123456789") {
		return "<" + name + ">"
	}
	return name
}

func posixOffset(seconds int) string {
	sign := ""
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	out := fmt.Sprintf("%s%d", sign, seconds/3600)
	if rest := seconds % 3600; rest != 0 {
		out += fmt.Sprintf(":%02d", rest/60)
	}
	return out
}
