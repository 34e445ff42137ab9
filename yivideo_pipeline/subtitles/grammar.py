"""Function words that show where a line may end, by language.

A line reads well if it ends before a conjunction or preposition, and badly if it ends after one, or after a
word that belongs to the next one (article, possessive, pronoun, auxiliary). The lists hold the frequent
words; text in a language without lists is broken by punctuation, pauses and balance alone.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grammar:
    """Word lists of one language, in lower case.

    Breaks are good before `conjunctions` and `prepositions`, and bad after them. `clinging` words belong to
    the word after them, `trailing` ones to the word before them.
    """

    conjunctions: frozenset[str] = frozenset()
    prepositions: frozenset[str] = frozenset()
    clinging: frozenset[str] = frozenset()
    trailing: frozenset[str] = frozenset()
    abbreviations: frozenset[str] = frozenset()

    @property
    def openings(self) -> tuple[str, ...]:
        """The conjunctions, as what a phrase may begin with."""
        return tuple(self.conjunctions)


def _grammar(
    conjunctions: str = "",
    prepositions: str = "",
    clinging: str = "",
    trailing: str = "",
    abbreviations: str = "",
) -> Grammar:
    lists = (conjunctions, prepositions, clinging, trailing, abbreviations)
    return Grammar(*(frozenset(words.split()) for words in lists))


_CHINESE = _grammar(
    conjunctions="但 但是 虽然 因为 所以 如果 而且 然后 不过 可是 或者 并且 因此 于是 只要 只有 除非 "
    "雖然 因為 如果 而且 然後 不過 於是 並且 或者",
    clinging="在 把 被 从 從 对 對 和 与 與 跟 向 很 不 最 更 这 這 那 每 一 我 你 他 她 它 您 "
    "是 有 也 都 就 还 還 会 會 能 要 将 將 已 再 才 又 让 讓 给 給 为 為 以 而 或 由 于 於 没 沒 请 請 "
    "来 來 去 到 比 使 令 喺 佢 唔 嗰 畀 俾 同 "
    # Counted: 两个|模型. The first ones stand alone behind a number that is a word of its own.
    "个 個 位 名 种 種 条 條 项 項 张 張 "
    "一个 一個 这个 這個 那个 那個 这种 這種 那种 那種 这些 這些 那些 各种 各種",
    trailing="的 地 得 了 着 著 过 過 们 們 吗 嗎 呢 吧 啊 嘛 个 個 "
    "里 裡 裏 上 下 中 内 內 外 后 後 前 时 時 嘅 咗 啲 喇 呀 囉",
)

GRAMMARS: dict[str, Grammar] = {
    "en": _grammar(
        "and but or nor so yet because although though while whereas if unless until since when "
        "whenever where wherever that which who whom whose whether as than before after",
        "in on at by for from with without to into onto of off about above across against along among "
        "around behind below beneath beside between beyond despite during inside near outside over "
        "through throughout toward towards under upon within via",
        "a an the my your his her its our their this these those every each some any no i you he she it "
        "we they is am are was were be been being have has had do does did will would shall should can "
        "could may might must not very too i'm you're he's she's it's we're they're i've we've i'll "
        "we'll you'll don't doesn't didn't can't won't there there's",
        abbreviations="mr mrs ms dr prof st sr jr vs etc no vol fig gen col lt capt sgt rev hon e.g i.e",
    ),
    "de": _grammar(
        "und oder aber denn sondern weil dass daß ob wenn als obwohl während nachdem bevor damit sodass "
        "falls seit bis wie wo",
        "in im an am auf aus bei beim mit nach von vom zu zum zur für durch gegen ohne um über unter vor "
        "hinter neben zwischen wegen trotz statt seit",
        "der die das den dem des ein eine einen einem einer eines mein meine dein deine sein seine ihr ihre "
        "unser unsere euer eure kein keine dieser diese dieses jeder jede jedes ich du er sie es wir man "
        "ist sind war waren hat haben hatte wird werden kann muss soll will nicht sehr",
        abbreviations="hr fr dr prof st nr bzw usw z.b d.h u.a ca evtl ggf inkl bd",
    ),
    "fr": _grammar(
        "et ou mais donc or ni car que qui dont où parce lorsque quand puisque si comme quoique tandis",
        "à a au aux de du des en dans sur sous par pour avec sans chez vers entre contre depuis pendant "
        "avant après selon malgré jusque",
        "le la les un une l mon ma mes ton ta tes son sa ses notre nos votre vos leur leurs ce cet cette "
        "ces chaque quelque je tu il elle on nous vous ils elles ne se me te est sont était a ont avait "
        "sera très plus",
        abbreviations="m mm mme mlle dr st ste etc cf p.ex",
    ),
    "es": _grammar(
        "y e o u pero sino aunque porque que quien cuando donde como si mientras pues ni",
        "a al de del en con sin por para sobre entre hasta desde hacia según contra bajo tras durante ante",
        "el la los las un una unos unas lo mi mis tu tus su sus nuestro nuestra este esta estos estas ese "
        "esa cada yo tú él ella no se me te le les nos es son era fue está están ha han había muy más",
        abbreviations="sr sra srta dr dra ud uds etc núm pág",
    ),
    "it": _grammar(
        "e ed o ma però perché che chi cui quando dove come se mentre anche né quindi",
        "a ad al allo alla ai agli alle di del dello della dei degli delle da dal dalla dai in nel nella nei "
        "nelle con su sul sulla per tra fra senza verso contro dopo prima durante",
        "il lo la i gli le un uno una mio mia tuo tua suo sua nostro nostra vostro vostra loro questo questa "
        "quel quella ogni io tu lui lei noi voi non si mi ti ci vi è sono era ha hanno aveva molto più",
        abbreviations="sig sigg dott prof ecc pag",
    ),
    "pt": _grammar(
        "e ou mas porém porque que quem quando onde como se enquanto embora pois nem",
        "a ao aos à às de do da dos das em no na nos nas com sem por pelo pela para sobre entre até desde "
        "contra sob após durante",
        "o os as um uma uns umas meu minha teu tua seu sua nosso nossa este esta esse essa cada eu tu ele "
        "ela nós eles não me te lhe é são era foi está estão tem têm tinha muito mais",
        abbreviations="sr sra dr dra prof etc pág",
    ),
    "nl": _grammar(
        "en of maar want dat die wie omdat als terwijl hoewel toen wanneer zodat waar zoals",
        "in op aan bij met naar van voor door over onder tussen tegen uit zonder om te tot na sinds",
        "de het een mijn jouw je zijn haar ons onze hun dit deze elke ik jij hij zij wij we ze is was waren "
        "heeft had hebben kan moet zal wil niet geen zeer",
        abbreviations="dhr mevr dr prof bijv enz nr",
    ),
    "ru": _grammar(
        "и а но или либо что чтобы если когда где куда который которая которое которые как потому хотя пока",
        "в во на с со к ко о об обо от до из изо за под над при про для без через между перед по у около",
        "не ни мой моя моё мои твой твоя ваш ваша наш наша их его её этот эта это эти тот та те каждый я ты "
        "он она мы вы они очень самый",
        "ли же бы",
        "г гг ул д т.е т.д т.п др руб им",
    ),
    "pl": _grammar(
        "i a ale lub albo że żeby jeśli gdy kiedy gdzie który która które jak bo ponieważ chociaż więc",
        "w we na z ze do od o po przy przez dla bez pod nad przed za między u",
        "nie mój moja twój twoja jego jej nasz nasza ich ten ta to te każdy ja ty on ona my wy oni jest są "
        "był była bardzo się",
        abbreviations="dr prof np itd itp ul nr",
    ),
    "ja": _grammar(
        "それ これ この その あの また 私 彼",
        trailing="は が を に へ と も の で や ね よ か て た れ る す い",
    ),
    "th": _grammar(
        "และ หรือ แต่ ซึ่ง เพราะ เพราะว่า ถ้า ถ้าหาก เมื่อ ดังนั้น เพื่อ จึง ว่า",
        "ใน ของ จาก กับ โดย ที่ ถึง ต่อ ตาม",
        "การ ความ ผู้ นัก ชาว ช่าง น่า เครื่อง ไม่ จะ กำลัง ต้อง เคย อย่า",
        "ๆ นี้ นั้น ครับ ค่ะ คะ นะ",
    ),
    "lo": _grammar(
        "ແລະ ຫຼື ແຕ່ ເຊິ່ງ ຊຶ່ງ ເພາະ ຖ້າ ເມື່ອ",
        "ໃນ ຂອງ ຈາກ ກັບ ໂດຍ ທີ່ ເຖິງ ຕາມ",
        "ການ ຄວາມ ຜູ້ ນັກ ຊາວ ບໍ່ ຈະ ກຳລັງ ຕ້ອງ",
        "ໆ ນີ້ ນັ້ນ",
    ),
    "km": _grammar(
        "និង ឬ ប៉ុន្តែ ដែល ព្រោះ ដោយសារ បើ ហើយ ពេល",
        "នៅ ក្នុង នៅក្នុង នៃ របស់ ពី ដោយ ដល់ ទៅ លើ",
        "ការ ភាព អ្នក នឹង មិន កំពុង ត្រូវ",
        "នេះ នោះ ៗ",
    ),
    "my": _grammar(
        "သို့မဟုတ် ဒါပေမဲ့ သို့သော် ထို့ကြောင့် ပြီးတော့",
        trailing="သည် က ကို ၏ ၌ မှ မှာ တွင် များ တွေ တို့ ဖြင့် နှင့် နဲ့ ခြင်း ပါ ပါသည် ပါမည် မည် ခဲ့ ခဲ့သည် "
        "သော တဲ့ တယ် မယ် ပြီး လျှင် ရင် ဟု လို့ လည်း ပါမယ် ပါတယ် သို့ အတွက်",
    ),
    "zh": _CHINESE,
    "yue": _CHINESE,
}


def grammar_of(language: str) -> Grammar:
    """Return the word lists of a language code such as `en` or `pt-BR`; empty lists if there are none."""
    return GRAMMARS.get(language.lower().replace("_", "-").split("-")[0], Grammar())
