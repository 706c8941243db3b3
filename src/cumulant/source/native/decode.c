/* What is decoded without Arrow: Parquet pages of plain numbers, and delimited text that holds nothing else. */

#include <stdint.h>
#include <string.h>

#include "pages.h"
#include "numbers.h"
