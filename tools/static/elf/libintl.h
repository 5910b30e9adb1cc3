#pragma once
/* messages are not translated */
#define gettext(s) (s)
#define dgettext(d, s) (s)
#define bindtextdomain(d, p)
