/* Numbers separated by anything else, added up. */
unsigned char in_buf[40];
static int digit(unsigned char c) { return c >= '0' && c <= '9'; }
__attribute__((export_name("infer"))) unsigned infer(void) {
  unsigned total = 0, i = 0;
  while (i < 40) {
    while (i < 40 && !digit(in_buf[i])) i++;
    unsigned value = 0;
    while (i < 40 && digit(in_buf[i])) { value = value * 10 + in_buf[i] - '0'; i++; }
    total += value;
  }
  return total;
}
__attribute__((export_name("input"))) void *input(void) { return in_buf; }
