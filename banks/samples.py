"""Short sentences by which a voice is heard, in the languages that voices are mostly for."""

from __future__ import annotations

import re

LONGEST = 200

SAMPLES = {
    "ar": "مرحبًا! هكذا يبدو صوتي عندما أقرأ لك قصة.",
    "cs": "Dobrý den! Takhle zním, když vám čtu příběh.",
    "da": "Hej! Sådan lyder jeg, når jeg læser en historie for dig.",
    "de": "Hallo! So klinge ich, wenn ich dir eine Geschichte vorlese.",
    "el": "Γεια σας! Έτσι ακούγεται η φωνή μου όταν σας διαβάζω μια ιστορία.",
    "en": "Hello! This is how I sound when I read a story to you.",
    "es": "¡Hola! Así sueno cuando te leo un cuento.",
    "fi": "Hei! Tältä kuulostan, kun luen sinulle tarinaa.",
    "fr": "Bonjour ! Voici ma voix quand je vous lis une histoire.",
    "hi": "नमस्ते! कहानी पढ़ते समय मेरी आवाज़ ऐसी लगती है।",
    "hu": "Szia! Így szólok, amikor mesét olvasok neked.",
    "id": "Halo! Beginilah suara saya saat membacakan cerita untuk Anda.",
    "it": "Ciao! Ecco la mia voce quando ti leggo una storia.",
    "ja": "こんにちは。物語を読むとき、私はこんな声です。",
    "ko": "안녕하세요! 이야기를 읽어 드릴 때 제 목소리는 이렇습니다.",
    "nb": "Hei! Slik høres jeg ut når jeg leser en fortelling for deg.",
    "nl": "Hallo! Zo klink ik als ik je een verhaal voorlees.",
    "pl": "Cześć! Tak brzmię, kiedy czytam ci opowieść.",
    "pt": "Olá! Esta é a minha voz quando leio uma história.",
    "ro": "Bună! Așa sună vocea mea când vă citesc o poveste.",
    "ru": "Здравствуйте! Так звучит мой голос, когда я читаю вам рассказ.",
    "sv": "Hej! Så här låter jag när jag läser en berättelse för dig.",
    "th": "สวัสดี นี่คือเสียงของฉันเวลาอ่านเรื่องให้คุณฟัง",
    "tr": "Merhaba! Size bir hikâye okurken sesim böyle duyuluyor.",
    "uk": "Вітаю! Так звучить мій голос, коли я читаю вам оповідання.",
    "vi": "Xin chào! Đây là giọng của tôi khi đọc truyện cho bạn nghe.",
    "yue": "你好！我讀故事畀你聽嗰陣，把聲就係咁樣。",
    "zh": "你好！这就是我为你朗读故事时的声音。",
}

# What servers call them beside the codes above: other codes, and names.
_OTHERS = {
    "arabic": "ar", "czech": "cs", "danish": "da", "german": "de", "deutsch": "de", "greek": "el", "english": "en",
    "spanish": "es", "español": "es", "finnish": "fi", "french": "fr", "français": "fr", "hindi": "hi",
    "hungarian": "hu", "indonesian": "id", "italian": "it", "italiano": "it", "japanese": "ja", "jp": "ja",
    "日本語": "ja", "korean": "ko", "한국어": "ko", "no": "nb", "nn": "nb", "norwegian": "nb", "dutch": "nl",
    "polish": "pl", "portuguese": "pt", "português": "pt", "romanian": "ro", "russian": "ru", "русский": "ru",
    "swedish": "sv", "thai": "th", "turkish": "tr", "ukrainian": "uk", "vietnamese": "vi", "cantonese": "yue",
    "zh-hk": "yue", "zh-mo": "yue", "chinese": "zh", "mandarin": "zh", "cmn": "zh", "中文": "zh",
}  # fmt: skip
_ID_WITH_LOCALE = re.compile(r"[a-z]{2,3}-[A-Z]{2}(?=-|$)")


def sample(language: str, voice_id: str = "") -> str:
    """In the first of the voice's languages, else in the one that its id begins with, else in English."""
    if not language and (locale := _ID_WITH_LOCALE.match(voice_id)):
        language = locale[0]
    first = re.split(r"[,;/|]", language.casefold().replace("_", "-"))[0].strip()
    named = (first, *re.findall(r"^\w+-\w+|^\w+", first), *re.findall(r"^\w+", first))
    codes = (_OTHERS.get(name, name) for name in named)
    return next((SAMPLES[code] for code in codes if code in SAMPLES), SAMPLES["en"])
