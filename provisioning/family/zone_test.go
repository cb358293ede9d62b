package family

import (
	"testing"
	"time"
)

func TestZoneOf(t *testing.T) {
	at := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	tests := map[string]Zone{
		"Europe/Berlin":    zoneBerlin,
		"America/New_York": zoneNewYork,
		"Asia/Kolkata":     zoneKolkata,
		"Australia/Sydney": zoneSydney,
		"Europe/London": {Offset: 0, POSIX: "GMT0BST,M3.5.0/1,M10.5.0", DST: true, Save: 3600,
			Start: Change{3, 5, 0, 1, 0}, End: Change{10, 5, 0, 2, 0}},
		// The tz database calls Irish winter the exception (IST, and GMT an hour less); phones want it told as elsewhere.
		"Europe/Dublin": {Offset: 0, POSIX: "GMT0IST,M3.5.0/1,M10.5.0", DST: true, Save: 3600,
			Start: Change{3, 5, 0, 1, 0}, End: Change{10, 5, 0, 2, 0}},
		// Half an hour.
		"Australia/Lord_Howe": {Offset: 37800, POSIX: "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", DST: true, Save: 1800,
			Start: Change{10, 1, 0, 2, 0}, End: Change{4, 1, 0, 2, 0}},
		// "Sunday on or after the 2nd" at 0:00 is no week of a month; the Saturday before at 24:00 is. In 2026 that is the first
		// Sunday both times.
		"America/Santiago": {Offset: -14400, POSIX: "<-04>4<-03>,M9.1.6/24,M4.1.6/24", DST: true, Save: 3600,
			Start: Change{9, 1, 0, 0, 0}, End: Change{4, 1, 0, 0, 0}},
		// The eve of the last Sunday is not always the last Saturday.
		"America/Nuuk": {Offset: -7200, POSIX: "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", DST: true, Save: 3600,
			Start: Change{3, 5, 6, 23, 0}, End: Change{10, 5, 0, 0, 0}},
		"Asia/Jerusalem": {Offset: 7200, POSIX: "IST-2IDT,M3.4.4/26,M10.5.0", DST: true, Save: 3600,
			Start: Change{3, 5, 5, 2, 0}, End: Change{10, 5, 0, 2, 0}},
		"America/Phoenix":   {Offset: -25200, POSIX: "MST7"},
		"America/Sao_Paulo": {Offset: -10800, POSIX: "<-03>3"},
		"Asia/Kathmandu":    {Offset: 20700, POSIX: "<+0545>-5:45"},
		"America/St_Johns": {Offset: -12600, POSIX: "NST3:30NDT,M3.2.0,M11.1.0", DST: true, Save: 3600,
			Start: Change{3, 2, 0, 2, 0}, End: Change{11, 1, 0, 2, 0}},
		// Summer time all year but in Ramadan: no yearly rule, so the usual offset.
		"Africa/Casablanca": {Offset: 3600, POSIX: "<+01>-1"},
		"UTC":               {POSIX: "UTC0"},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			want.Name = name
			got, err := ZoneOf(name, at)
			if err != nil || got != want {
				t.Errorf("ZoneOf gives %v\n%+v, want\n%+v", err, got, want)
			}
		})
	}
}

// TestZoneChanges: a zone is what it is at the time, not what it was.
func TestZoneChanges(t *testing.T) {
	for year, want := range map[int]bool{1965: false, 2026: true} {
		z, err := ZoneOf("Europe/Berlin", time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC))
		if err != nil || z.DST != want || z.Offset != 3600 {
			t.Errorf("Berlin in %d: %+v, %v; summer time wanted: %v", year, z, err, want)
		}
	}
}

func TestZoneUnknown(t *testing.T) {
	for _, name := range []string{"", "Local", "Berlin", "../etc/passwd", "Mars/Olympus"} {
		z, err := ZoneOf(name, time.Unix(0, 0))
		if err == nil {
			t.Errorf("ZoneOf(%q) gives %+v", name, z)
		}
	}
}

// TestZoneAgainstClock replays rules over ten years: a phone that is told them anew each year must show what the tz
// database says, and every rule must be one that makers can be told.
func TestZoneAgainstClock(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC)
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "America/Nuuk", "Pacific/Auckland", "Asia/Beirut", "Asia/Jerusalem", "Africa/Cairo", "Europe/Chisinau", "America/Havana"} {
		t.Run(name, func(t *testing.T) {
			var z Zone
			year := 0
			loc, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			for at := from; at.Year() < 2036; at = at.Add(time.Hour) {
				if at.Year() != year {
					year = at.Year()
					if z, err = ZoneOf(name, at); err != nil || z.DST && max(z.Start.Hour, z.End.Hour, 23-z.Start.Hour, 23-z.End.Hour) > 23 {
						t.Fatalf("%+v, %v", z, err)
					}
				}
				if _, want := at.In(loc).Zone(); z.offsetAt(at) != want {
					t.Fatalf("%s: at %s the rules give %d, the tz database %d", z.POSIX, at, z.offsetAt(at), want)
				}
			}
		})
	}
}

// offsetAt applies the rules as a phone does.
func (z Zone) offsetAt(at time.Time) int {
	if !z.DST {
		return z.Offset
	}
	year := at.Add(time.Duration(z.Offset) * time.Second).Year()
	start := z.Start.in(year).Add(-time.Duration(z.Offset) * time.Second)
	end := z.End.in(year).Add(-time.Duration(z.Offset+z.Save) * time.Second)
	summer := !at.Before(start) && at.Before(end)
	if end.Before(start) { // southern hemisphere
		summer = !at.Before(start) || at.Before(end)
	}
	if summer {
		return z.Offset + z.Save
	}
	return z.Offset
}

// in is the change in one year as a wall clock reading, told as UTC.
func (c Change) in(year int) time.Time {
	first := time.Date(year, time.Month(c.Month), 1, c.Hour, c.Minute, 0, 0, time.UTC)
	day := 1 + (c.Weekday-int(time.Date(year, time.Month(c.Month), 1, 0, 0, 0, 0, time.UTC).Weekday())+7)%7 + 7*(c.Week-1)
	if last := time.Date(year, time.Month(c.Month)+1, 0, 0, 0, 0, 0, time.UTC).Day(); day > last {
		day -= 7
	}
	return first.AddDate(0, 0, day-1)
}
